-- The bounds of the instance `budget` (docs/session-bounds.md, section 6).

const
  FIRST_EPOCH: 2;
  EPOCHS: 2;
  REVISIONS: 1;
  ENDPOINT_VERSIONS: 1;
  SESSIONS: 4;
  TICKS: 5;
  BUDGET_OF_DURATION: 2;
  BUDGET_OF_STALL: 1;
  BUDGET_OF_ENTRIES: 1;
  BUDGET_OF_BYTES: 1;
  LOG: 3;
  SHAPES: 1;
  CAUSES: 1;
  CHUNKS_LEAST: 1;
  CHUNKS_MOST: 1;
  DISKS: 1;
  SCENES: 1;
  ALL_DISKS: false;
  PREFIXES: true;
  FALSE_REPORTS: false;
  MOVE_COMMIT: true;
  MOVE_WRITE_BACK: false;
  MOVE_RECLAIM: false;
  FENCE_AND_STOP: false;

function has_kind(kind: kind_of): boolean;
begin
  return kind = after_fault | kind = rebuild;
end;

procedure get_shape(number: 1..SHAPES; var shape: shape_of);
begin
  shape.named := true;
  shape.member := false;
  shape.intent := nothing;
end;

procedure get_disk(number: 1..DISKS; var disk: disk_of);
begin
  disk.forgotten := 0;
  write_log(disk.log, 1, 1, 0);
  disk.extent_bound := 0;
end;

procedure get_scene(number: 1..SCENES; var history: history_of);
begin
  write_scene(history, 1, 0, 0, 1, 0);
end;
