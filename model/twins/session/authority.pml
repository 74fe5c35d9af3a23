/* The bounds of the instance `authority` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             3
#define REVISIONS          4
#define ENDPOINT_VERSIONS  2
#define SESSIONS           4
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                2
#define SHAPES             \
	NOT_NAMED \
	SHAPE(false, NOTHING) \
	SHAPE(true, RECOVER_BOOTSTRAP) \
	SHAPE(false, ORDER_REBUILD)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(0)
#define ALL_DISKS          false
#define DISKS              DISK1(1, 0) DISK2(1, 1, 0)
#define PREFIXES           false
#define FALSE_REPORTS      false
#define MOVE_COMMIT        false
#define MOVE_WRITE_BACK    false
#define MOVE_RECLAIM       false
#define FENCE_AND_STOP     true
#define SCENES             \
	SCENE1(1, 1, 0) \
	SCENE2(1, 1, 1, 0)
