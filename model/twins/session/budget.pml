/* The bounds of the instance `budget` (docs/session-bounds.md, section 6). */

#define FIRST_EPOCH        2
#define EPOCHS             2
#define REVISIONS          1
#define ENDPOINT_VERSIONS  1
#define SESSIONS           4
#define TICKS              5
#define BUDGET_OF_DURATION 2
#define BUDGET_OF_STALL    1
#define BUDGET_OF_ENTRIES  1
#define BUDGET_OF_BYTES    1
#define LOG                3
#define SHAPES             SHAPE(false, NOTHING)
#define KINDS(call)        :: call(AFTER_FAULT) :: call(REBUILD)
#define CAUSES             :: fail()
#define CHUNKS             :: begin_transfer(1)
#define ALL_DISKS          false
#define DISKS              DISK2(1, 1, 0)
#define PREFIXES           true
#define FALSE_REPORTS      false
#define MOVE_COMMIT        true
#define MOVE_WRITE_BACK    false
#define MOVE_RECLAIM       false
#define FENCE_AND_STOP     false
#define SCENES             SCENE1(1, 1, 0)
