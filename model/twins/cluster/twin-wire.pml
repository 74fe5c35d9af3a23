/* The bounds of the instance `twin-wire` (docs/cluster.md, section 11). Sets of nodes are bits. */

#define ISR_AT_FIRST  3
#define WRITES        1
#define EPOCHS        1
#define CRASHES       2
#define JOINS         false
#define LEAVES        false
#define LOST_REQUESTS false
#define WIRE          2
#define TWINS         true
#define SESSIONS      2
