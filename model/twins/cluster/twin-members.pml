/* The bounds of the instance `twin-members` (docs/cluster.md, section 11). Sets of nodes are bits. */

#define ISR_AT_FIRST  1
#define WRITES        1
#define EPOCHS        1
#define CRASHES       3
#define JOINS         true
#define LEAVES        true
#define LOST_REQUESTS true
#define WIRE          0
#define TWINS         false
#define SESSIONS      1
