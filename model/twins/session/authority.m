-- The bounds of the instance `authority` (docs/session-bounds.md, section 6).

const
  FIRST_EPOCH: 2;
  EPOCHS: 3;
  REVISIONS: 4;
  ENDPOINT_VERSIONS: 2;
  SESSIONS: 4;
  TICKS: 0;
  BUDGET_OF_DURATION: 9;
  BUDGET_OF_STALL: 9;
  BUDGET_OF_ENTRIES: 9;
  BUDGET_OF_BYTES: 9;
  LOG: 2;
  SHAPES: 4;
  CAUSES: 1;
  CHUNKS_LEAST: 0;
  CHUNKS_MOST: 0;
  DISKS: 2;
  SCENES: 2;
  ALL_DISKS: false;
  PREFIXES: false;
  FALSE_REPORTS: false;
  MOVE_COMMIT: false;
  MOVE_WRITE_BACK: false;
  MOVE_RECLAIM: false;
  FENCE_AND_STOP: true;

function has_kind(kind: kind_of): boolean;
begin
  return kind = after_fault | kind = rebuild;
end;

procedure get_shape(number: 1..SHAPES; var shape: shape_of);
begin
  switch number
    case 1: shape.named := false;
    case 2: shape.named := true; shape.member := false; shape.intent := nothing;
    case 3: shape.named := true; shape.member := true; shape.intent := recover_bootstrap;
    case 4: shape.named := true; shape.member := false; shape.intent := order_rebuild;
  end;
end;

procedure get_disk(number: 1..DISKS; var disk: disk_of);
begin
  disk.forgotten := 0;
  switch number
    case 1: write_log(disk.log, 1, 0, 0); disk.extent_bound := 0;
    case 2: write_log(disk.log, 1, 1, 0); disk.extent_bound := 0;
  end;
end;

procedure get_scene(number: 1..SCENES; var history: history_of);
begin
  switch number
    case 1: write_scene(history, 1, 0, 0, 1, 0);
    case 2: write_scene(history, 1, 1, 0, 1, 0);
  end;
end;
