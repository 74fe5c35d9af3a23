/* The bounds of the instance `laggard` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             2
#define REVISIONS          2
#define ENDPOINT_VERSIONS  1
#define SESSIONS           3
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                4
#define SHAPES             \
	SHAPE(true, NOTHING) \
	SHAPE(false, NOTHING)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(0)
#define ALL_DISKS          false
#define DISKS              DISK2(1, 1, 1)
#define PREFIXES           true
#define FALSE_REPORTS      false
#define MOVE_COMMIT        true
#define MOVE_WRITE_BACK    true
#define MOVE_RECLAIM       true
#define FENCE_AND_STOP     false
#define SCENES             \
	SCENE1(1, 1, 0) \
	SCENE2(1, 1, 1, 0)
