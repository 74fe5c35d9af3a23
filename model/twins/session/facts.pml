/* The bounds of the instance `facts` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        3
#define EPOCHS             3
#define REVISIONS          1
#define ENDPOINT_VERSIONS  1
#define SESSIONS           3
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                4
#define SHAPES             SHAPE(false, NOTHING)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(1)
#define ALL_DISKS          true
#define DISKS
#define PREFIXES           false
#define FALSE_REPORTS      false
#define MOVE_COMMIT        true
#define MOVE_WRITE_BACK    true
#define MOVE_RECLAIM       true
#define FENCE_AND_STOP     false
#define SCENES             \
	SCENE2(1, 1, 1, 0) \
	SCENE2(1, 2, 1, 0) \
	SCENE2(1, 2, 1, 0) FORGETTING(1) \
	SCENE2(1, 1, 2, 2) RETAINED_FROM(2) \
	SCENE2(1, 2, 2, 1) RETAINED_FROM(NONE) \
	SCENE2(1, 1, 1, 0) EXTENT_UP_TO(UNBOUNDED) \
	SCENE0(0, 0) \
	SCENE3(1, 1, 2, 2, 1)
