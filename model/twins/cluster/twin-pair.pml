/* The bounds of the instance `twin-pair` (docs/cluster.md, section 11). Sets of nodes are bits. */

#define ISR_AT_FIRST  3
#define WRITES        1
#define EPOCHS        2
#define CRASHES       3
#define JOINS         false
#define LEAVES        false
#define LOST_REQUESTS false
#define WIRE          0
#define TWINS         false
#define SESSIONS      1
