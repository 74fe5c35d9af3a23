-- The bounds of the instance `rebuild` (docs/session-bounds.md, section 6).

const
  FIRST_EPOCH: 2;
  EPOCHS: 2;
  REVISIONS: 2;
  ENDPOINT_VERSIONS: 1;
  SESSIONS: 4;
  TICKS: 0;
  BUDGET_OF_DURATION: 9;
  BUDGET_OF_STALL: 9;
  BUDGET_OF_ENTRIES: 9;
  BUDGET_OF_BYTES: 9;
  LOG: 4;
  SHAPES: 1;
  CAUSES: 1;
  CHUNKS_LEAST: 0;
  CHUNKS_MOST: 2;
  DISKS: 1;
  SCENES: 6;
  ALL_DISKS: false;
  PREFIXES: false;
  FALSE_REPORTS: false;
  MOVE_COMMIT: true;
  MOVE_WRITE_BACK: true;
  MOVE_RECLAIM: true;
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
  write_log(disk.log, 0, 0, 0);
  disk.extent_bound := UNBOUNDED;
end;

procedure get_scene(number: 1..SCENES; var history: history_of);
begin
  switch number
    case 1: write_scene(history, 1, 1, 0, 1, 1);
    case 2: write_scene(history, 1, 1, 0, 1, 0); history.extent_bound := 2;
    case 3: write_scene(history, 1, 1, 0, 2, 1); keep_snapshot(history, 1, true, 1);
    case 4: write_scene(history, 1, 1, 0, 2, 2); keep_snapshot(history, 1, true, 1); history.retained_from := 2;
    case 5: write_scene(history, 1, 1, 0, 2, 2); keep_snapshot(history, 1, false, 2);
    case 6: write_scene(history, 1, 1, 0, 1, 0); history.extent_bound := UNBOUNDED;
  end;
end;
