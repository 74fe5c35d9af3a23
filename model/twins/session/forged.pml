/* The bounds of the instance `forged` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             3
#define REVISIONS          2
#define ENDPOINT_VERSIONS  2
#define SESSIONS           3
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                2
#define SHAPES             \
	SHAPE(true, NOTHING) \
	SHAPE(false, NOTHING) \
	SHAPE(true, RECOVER_REASSIGN)
#define KINDS(call)        :: call(BOOTSTRAP) :: call(AFTER_FAULT) :: call(REASSIGN) :: call(REBUILD)
#define CAUSES             :: fail() :: fail() :: fail() :: fail() :: fail() :: fail()
#define CHUNKS             :: begin_transfer(0)
#define ALL_DISKS          false
#define DISKS              DISK2(1, 1, 0)
#define PREFIXES           false
#define FALSE_REPORTS      true
#define MOVE_COMMIT        false
#define MOVE_WRITE_BACK    false
#define MOVE_RECLAIM       false
#define FENCE_AND_STOP     false
#define SCENES             SCENE1(1, 1, 0)
