-- The bounds of the instance `twin-wire` (docs/cluster.md, section 11).

const
  SECOND_IS_MEMBER: true;
  WRITES: 1;
  EPOCHS: 1;
  FIRST_MAY_CRASH: false;
  JOINS: false;
  LEAVES: false;
  LOST_REQUESTS: false;
  WIRE: 2;
  TWINS: true;
  SESSIONS: 2;
