/* The bounds of the instance `rebuild` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             2
#define REVISIONS          2
#define ENDPOINT_VERSIONS  1
#define SESSIONS           4
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                4
#define SHAPES             SHAPE(false, NOTHING)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(0) :: begin_transfer(1) :: begin_transfer(2)
#define ALL_DISKS          false
#define DISKS              DISK0(UNBOUNDED)
#define PREFIXES           false
#define FALSE_REPORTS      false
#define MOVE_COMMIT        true
#define MOVE_WRITE_BACK    true
#define MOVE_RECLAIM       true
#define FENCE_AND_STOP     false
#define SCENES             \
	SCENE2(1, 1, 1, 1) \
	SCENE2(1, 1, 1, 0) EXTENT_UP_TO(2) \
	SCENE2(1, 1, 2, 1) SNAPSHOT(1, true, 1) \
	SCENE2(1, 1, 2, 2) SNAPSHOT(1, true, 1) RETAINED_FROM(2) \
	SCENE2(1, 1, 2, 2) SNAPSHOT(1, false, 2) \
	SCENE2(1, 1, 1, 0) EXTENT_UP_TO(UNBOUNDED)
