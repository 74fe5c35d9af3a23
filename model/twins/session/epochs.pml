/* The bounds of the instance `epochs` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             4
#define REVISIONS          3
#define ENDPOINT_VERSIONS  2
#define SESSIONS           4
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                4
#define SHAPES             \
	SHAPE(false, NOTHING) \
	SHAPE(true, RECOVER_BOOTSTRAP)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(0)
#define ALL_DISKS          false
#define DISKS              DISK2(1, 1, 0) DISK1(1, 0)
#define PREFIXES           true
#define FALSE_REPORTS      false
#define MOVE_COMMIT        false
#define MOVE_WRITE_BACK    false
#define MOVE_RECLAIM       false
#define FENCE_AND_STOP     false
#define SCENES             \
	SCENE1(1, 1, 0) \
	SCENE2(1, 1, 1, 0)
