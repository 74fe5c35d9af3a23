/* The bounds of the instance `smallest` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             2
#define REVISIONS          1
#define ENDPOINT_VERSIONS  1
#define SESSIONS           2
#define TICKS              0
#define BUDGET_OF_DURATION 9
#define BUDGET_OF_STALL    9
#define BUDGET_OF_ENTRIES  9
#define BUDGET_OF_BYTES    9
#define LOG                3
#define SHAPES             SHAPE(false, NOTHING)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(1)
#define ALL_DISKS          false
#define DISKS              DISK0(0) DISK2(1, 1, 0) DISK1(1, 1)
#define PREFIXES           false
#define FALSE_REPORTS      false
#define MOVE_COMMIT        false
#define MOVE_WRITE_BACK    false
#define MOVE_RECLAIM       false
#define FENCE_AND_STOP     false
#define SCENES             SCENE1(1, 1, 0)
