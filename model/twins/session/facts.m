-- The bounds of the instance `facts` (docs/session-bounds.md, section 6).

const
  FIRST_EPOCH: 3;
  EPOCHS: 3;
  REVISIONS: 1;
  ENDPOINT_VERSIONS: 1;
  SESSIONS: 3;
  TICKS: 0;
  BUDGET_OF_DURATION: 9;
  BUDGET_OF_STALL: 9;
  BUDGET_OF_ENTRIES: 9;
  BUDGET_OF_BYTES: 9;
  LOG: 4;
  SHAPES: 1;
  CAUSES: 1;
  CHUNKS_LEAST: 1;
  CHUNKS_MOST: 1;
  DISKS: 1;
  SCENES: 8;
  ALL_DISKS: true;
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
  write_log(disk.log, 0, 0, 0);  -- any disk, not those of a list
  disk.extent_bound := 0;
end;

procedure get_scene(number: 1..SCENES; var history: history_of);
begin
  switch number
    case 1: write_scene(history, 1, 1, 0, 1, 0);
    case 2: write_scene(history, 1, 2, 0, 1, 0);
    case 3: write_scene(history, 1, 2, 0, 1, 0); history.forgotten := 1;
    case 4: write_scene(history, 1, 1, 0, 2, 2); history.retained_from := 2;
    case 5: write_scene(history, 1, 2, 0, 2, 1); undefine history.retained_from;
    case 6: write_scene(history, 1, 1, 0, 1, 0); history.extent_bound := UNBOUNDED;
    case 7: write_scene(history, 0, 0, 0, 0, 0);
    case 8: write_scene(history, 1, 1, 2, 2, 1);
  end;
end;
