-- The bounds of the instance `smallest` (docs/session-bounds.md, section 6).

const
  FIRST_EPOCH: 2;
  EPOCHS: 2;
  REVISIONS: 1;
  ENDPOINT_VERSIONS: 1;
  SESSIONS: 2;
  TICKS: 0;
  BUDGET_OF_DURATION: 9;
  BUDGET_OF_STALL: 9;
  BUDGET_OF_ENTRIES: 9;
  BUDGET_OF_BYTES: 9;
  LOG: 3;
  SHAPES: 1;
  CAUSES: 1;
  CHUNKS_LEAST: 1;
  CHUNKS_MOST: 1;
  DISKS: 3;
  SCENES: 1;
  ALL_DISKS: false;
  PREFIXES: false;
  FALSE_REPORTS: false;
  MOVE_COMMIT: false;
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
  switch number
    case 1: write_log(disk.log, 0, 0, 0); disk.extent_bound := 0;
    case 2: write_log(disk.log, 1, 1, 0); disk.extent_bound := 0;
    case 3: write_log(disk.log, 1, 0, 0); disk.extent_bound := 1;
  end;
end;

procedure get_scene(number: 1..SCENES; var history: history_of);
begin
  write_scene(history, 1, 0, 0, 1, 0);
end;
