-- The bounds of the instance `twin-members` (docs/cluster.md, section 11).

const
  SECOND_IS_MEMBER: false;
  WRITES: 1;
  EPOCHS: 1;
  FIRST_MAY_CRASH: true;
  JOINS: true;
  LEAVES: true;
  LOST_REQUESTS: true;
  WIRE: 0;
  TWINS: false;
  SESSIONS: 1;
