-- The bounds of the instance `twin-pair` (docs/cluster.md, section 11).

const
  SECOND_IS_MEMBER: true;
  WRITES: 1;
  EPOCHS: 2;
  FIRST_MAY_CRASH: true;
  JOINS: false;
  LEAVES: false;
  LOST_REQUESTS: false;
  WIRE: 0;
  TWINS: false;
  SESSIONS: 1;
