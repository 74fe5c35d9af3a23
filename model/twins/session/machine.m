-- The recovery session, written in Murphi from docs/session.md and docs/session-bounds.md alone.
--
-- It shares nothing with the specification in Rust, nor with the twin in Promela, but that prose.
-- One rule for one value of its parameters is one action.

type
  version_number: 1..2;
  revision_number: 0..5;
  tick: 0..TICKS;

  said_of: record
    epoch: epoch_number;
    revision: revision_number;
    version: version_number;  -- undefined: the replica is not named
    member: boolean;
    intent: intent_of;
  end;

  pins_of: array [slot] of pin_at;
  sessions_of: array [session_id] of boolean;

var
  -- State: docs/session-bounds.md, section 1.
  now: tick;

  known: boolean;
  epoch: epoch_number;
  revision: revision_number;
  serving: boolean;
  said: said_of;
  next_session: 1..5;
  issued: array [session_id] of record epoch: epoch_number; version: version_number; end;

  sender: record
    version: version_number;  -- undefined: there is no sender
    member: boolean;
    state: state_of;
    reason: reason_for;
    acknowledged: lsn;
  end;

  session: record
    id: session_id;           -- undefined: there is no session
    kind: kind_of;
    epoch: epoch_number;
    version: version_number;
    since: tick;
    last_progress: tick;
    phase: phase_of;
    from: lsn;
    target: lsn;
    cut: cut_at;
    cut_to: lsn;
    pins: pins_of;
    acked: lsn;
    source: source_of;        -- undefined: none was selected
    why: source_reason;
    base_lsn: lsn;
    goal: lsn;
    chunks_total: chunk;
    chunks_done: chunk;
    achieved: lsn;
  end;

  history: history_of;

  ghost: record
    log: log_of;
    extent_bound: bound;
    diverged: boolean;
    target: lsn;
    split: lsn;
    pinned_for_transfer: boolean;
    base_whole: boolean;
    promised: lsn;
    owes_rebuild: boolean;
    asked: array [slot] of sessions_of;
    acquired: array [slot] of sessions_of;
    released_twice: boolean;
  end;

--------------------------------------------------------------------------------------------------
-- Logs and lineages

function head(): lsn;
begin
  return history.log.length;
end;

function lesser(a: bound; b: bound): bound;
begin
  return a < b ? a : b;
end;

function greater(a: bound; b: bound): bound;
begin
  return a > b ? a : b;
end;

procedure cut_log(var log: log_of; last: lsn);
begin
  if log.length > last then
    log.length := last;
    for p: entry_at do
      if p > last then undefine log.epoch[p]; end;
    end;
  end;
end;

-- How many epochs there are in the first entries of a log, up to a position.
function epochs_up_to(log: log_of; position: lsn): lsn;
var count: lsn;
begin
  count := 0;
  for p: entry_at do
    if p <= position & p <= log.length then
      if p = 1 then count := 1;
      elsif log.epoch[p] != log.epoch[p - 1] then count := count + 1;
      end;
    end;
  end;
  return count;
end;

-- Whether the lineage of a log names the epoch of a position.
function names(log: log_of; forgotten: lsn; position: lsn): boolean;
begin
  return position >= 1 & position <= log.length & epochs_up_to(log, position) > forgotten;
end;

function same_entry(a: log_of; b: log_of; position: entry_at): boolean;
begin
  return position <= a.length & position <= b.length & a.epoch[position] = b.epoch[position];
end;

-- The length of the longest beginning that both logs share.
function alike(a: log_of; b: log_of): lsn;
var length: lsn;
begin
  length := 0;
  for p: entry_at do
    if p = length + 1 & same_entry(a, b, p) then length := p; end;
  end;
  return length;
end;

-- The position of the epoch-start entry; 0: it is not there.
function epoch_start(): lsn;
begin
  for p: entry_at do
    if p <= head() & history.log.epoch[p] = epoch then return p; end;
  end;
  return 0;
end;

function right_target(): lsn;
begin
  return greater(history.committed, epoch_start());
end;

-- What a primary must be before it judges anyone.
function is_fit(): boolean;
var last: lsn;
begin
  if history.checkpoint > history.extent_bound | history.checkpoint > head()
     | history.committed > head() then return false; end;
  if !isundefined(history.retained_from) & history.retained_from > head() then return false; end;
  if !isundefined(history.snapshot.base_lsn) & history.snapshot.base_lsn > head() then
    return false;
  end;
  -- The lineage ends in the volume's epoch, at its epoch-start entry.
  if head() = 0 | !names(history.log, history.forgotten, head()) then return false; end;
  if epoch_start() = 0 | history.log.epoch[head()] != epoch then return false; end;
  return head() >= history.extent_bound;
end;

--------------------------------------------------------------------------------------------------
-- Sessions and their pins

function has_sender(): boolean;
begin
  return !isundefined(sender.version);
end;

function has_session(): boolean;
begin
  return !isundefined(session.id);
end;

function in_phase(phase: phase_of): boolean;
begin
  return has_session() & session.phase = phase;
end;

function has_selected(): boolean;
begin
  return !isundefined(session.source);
end;

function is_rebuilding(): boolean;
begin
  return has_session() & session.kind = rebuild & session.phase != completed;
end;

function sessions_left(): boolean;
begin
  return !known | next_session <= SESSIONS;
end;

procedure moved_on();
begin
  session.last_progress := now;
end;

procedure request(which: slot);
begin
  session.pins[which] := requested;
  ghost.asked[which][session.id] := true;
end;

procedure release(which: slot);
begin
  if session.pins[which] != none then
    session.pins[which] := none;
    if !ghost.asked[which][session.id] then ghost.released_twice := true; end;
    ghost.asked[which][session.id] := false;
    ghost.acquired[which][session.id] := false;
  end;
end;

procedure blank_ghost_of_session();
begin
  undefine ghost.log;
  ghost.log.length := 0;
  ghost.extent_bound := 0;
  ghost.diverged := false;
  undefine ghost.target;
  undefine ghost.split;
  ghost.pinned_for_transfer := false;
  ghost.base_whole := false;
end;

procedure end_session(class: class_of; reason: reason_for);
begin
  release(retention);
  release(base);
  if is_rebuilding() then
    sender.state := needs_rebuild;
  else
    switch class
      case authority: sender.state := disconnected;
      case fault: sender.state := degraded;
      case escalation: sender.state := needs_rebuild; sender.reason := reason;
    end;
  end;
  undefine session;
  blank_ghost_of_session();
  if class = escalation then ghost.owes_rebuild := true; end;
end;

procedure escalate(reason: reason_for);
begin
  end_session(escalation, reason);
end;

procedure interrupt(class: class_of);
begin
  if has_session() then end_session(class, ordered); end;
end;

procedure attach_session(kind: kind_of);
begin
  session.id := next_session;
  session.kind := kind;
  session.epoch := epoch;
  session.version := sender.version;
  session.since := now;
  session.last_progress := now;
  session.phase := init;
  session.cut := no_cut;
  session.pins[retention] := none;
  session.pins[base] := none;
  issued[next_session].epoch := epoch;
  issued[next_session].version := sender.version;
  next_session := next_session + 1;
  if kind = rebuild then
    sender.state := rebuilding;
    if isundefined(sender.reason) then sender.reason := ordered; end;
    ghost.owes_rebuild := true;
  else
    sender.state := connecting_to;
  end;
end;

--------------------------------------------------------------------------------------------------
-- The authority

procedure take_epoch(new: epoch_number);
begin
  if new > epoch then
    interrupt(authority);
    undefine sender.acknowledged;
    ghost.promised := 0;
  end;
  epoch := new;
end;

procedure carry_out(intent: intent_of);
begin
  if intent = order_rebuild then
    if !is_rebuilding() then
      interrupt(authority);
      attach_session(rebuild);
    end;
  elsif intent != nothing & !has_session() & sender.state != needs_rebuild then
    switch intent
      case recover_bootstrap: attach_session(bootstrap);
      case recover_after_fault: attach_session(after_fault);
      case recover_reassign: attach_session(reassign);
    end;
  end;
end;

procedure accept(new_epoch: epoch_number; new_revision: revision_number; shape: shape_of;
                 version: version_number);
begin
  if known then
    take_epoch(new_epoch);
  else
    known := true;
    epoch := new_epoch;
    next_session := 1;
  end;
  if !shape.named then
    interrupt(authority);
    undefine sender;
    ghost.promised := 0;
    ghost.owes_rebuild := false;
  else
    if !has_sender() then
      sender.version := version;
      sender.state := disconnected;
    elsif version > sender.version then
      interrupt(authority);
      sender.version := version;
    end;
    sender.member := shape.member;
  end;
  revision := new_revision;
  serving := true;
  undefine said;
  said.epoch := new_epoch;
  said.revision := new_revision;
  if shape.named then
    said.version := version;
    said.member := shape.member;
    said.intent := shape.intent;
    carry_out(shape.intent);
  end;
end;

-- Whether an assignment may say this: the next version or the present one.
function may_say(number: 1..SHAPES; next_version: boolean): boolean;
var shape: shape_of;
begin
  get_shape(number, shape);
  if next_version & !(has_sender() & sender.version < ENDPOINT_VERSIONS) then return false; end;
  if !shape.named then return !next_version; end;
  return shape.intent = nothing | sessions_left();
end;

function version_said(next_version: boolean): version_number;
begin
  if !has_sender() then return 1; end;
  return next_version ? sender.version + 1 : sender.version;
end;

ruleset number: 1..SHAPES do
  rule "assign, first"
    !known & may_say(number, false)
  ==>
  var shape: shape_of;
  begin
    get_shape(number, shape);
    accept(FIRST_EPOCH, 1, shape, 1);
  end;

  ruleset next_version: boolean; next_epoch: boolean do
    rule "assign, newer"
      known & revision < REVISIONS & (!next_epoch | epoch < EPOCHS) & may_say(number, next_version)
    ==>
    var shape: shape_of;
    begin
      get_shape(number, shape);
      accept(next_epoch ? epoch + 1 : epoch, revision + 1, shape, version_said(next_version));
    end;
  end;
end;

rule "assign, unchanged"
  known & revision > 0
==>
begin
end;

rule "fence"
  FENCE_AND_STOP & known & epoch < EPOCHS
==>
begin
  take_epoch(epoch + 1);
  revision := 0;
  serving := false;
end;

rule "stop"
  FENCE_AND_STOP & known & serving
==>
begin
  interrupt(authority);
  serving := false;
end;

--------------------------------------------------------------------------------------------------
-- Calls that begin a session

function may_begin(kind: kind_of): boolean;
begin
  if !has_kind(kind) | !known | !has_sender() | !serving | !sessions_left() then
    return false;
  end;
  return kind = rebuild ? !sender.member : sender.state != needs_rebuild;
end;

ruleset kind: kind_of do
  rule "attach"
    may_begin(kind) & !has_session()
  ==>
  begin
    attach_session(kind);
  end;

  rule "supersede"
    may_begin(kind) & (kind = rebuild | sender.state != rebuilding)
  ==>
  begin
    interrupt(authority);
    attach_session(kind);
  end;
end;

--------------------------------------------------------------------------------------------------
-- Calls on a session, up to the handshake

rule "connect"
  in_phase(init)
==>
begin
  session.phase := connecting;
  moved_on();
end;

rule "hello"
  in_phase(connecting)
==>
begin
  session.phase := handshake;
  moved_on();
end;

-- The last position up to which both logs hold the same entries, in so far as the lineages know.
function has_common(disk: disk_of): boolean;
begin
  if disk.log.length = 0 then return true; end;
  if names(disk.log, disk.forgotten, 1) & names(history.log, history.forgotten, 1) then
    return true;
  end;
  for p: entry_at do
    if names(disk.log, disk.forgotten, p) & names(history.log, history.forgotten, p)
       & disk.log.epoch[p] = history.log.epoch[p] then return true; end;
  end;
  return false;
end;

function common_of(disk: disk_of): lsn;
var common: lsn;
begin
  common := 0;
  for p: entry_at do
    if names(disk.log, disk.forgotten, p) & names(history.log, history.forgotten, p)
       & disk.log.epoch[p] = history.log.epoch[p] then common := p; end;
  end;
  return common;
end;

procedure plan_catch_up(durable: lsn; common: lsn; extent: bound);
var from: lsn; target: lsn;
begin
  from := lesser(durable, common);
  target := right_target();
  if durable > common & extent > common then
    escalate(divergent_extent);
  elsif from < head() & (isundefined(history.retained_from) | history.retained_from > from) then
    escalate(gap_beyond_retention);
  elsif target > from & target - from > BUDGET_OF_ENTRIES then
    escalate(budget_entries);
  else
    session.phase := catch_up;
    sender.state := catching_up;
    session.from := from;
    session.target := target;
    if durable > common then
      session.cut := required;
      session.cut_to := common;
    end;
    if from < target then request(retention); end;
  end;
end;

procedure classify(disk: disk_of);
var durable: lsn;
begin
  durable := disk.log.length;
  if durable < disk.extent_bound then
    escalate(untrusted_base);
  elsif !isundefined(sender.acknowledged) & durable < sender.acknowledged then
    escalate(lost_acknowledged);
  elsif !has_common(disk) then
    escalate(lineage_exhausted);
  else
    plan_catch_up(durable, common_of(disk), disk.extent_bound);
  end;
end;

procedure shake_hands(is_there: boolean; disk: disk_of);
begin
  session.since := now;
  moved_on();
  if session.kind = rebuild then
    session.phase := source_select;
  else
    ghost.log := disk.log;
    ghost.extent_bound := disk.extent_bound;
    ghost.diverged := alike(disk.log, history.log) < disk.log.length;
    ghost.target := right_target();
    if is_there then classify(disk); else escalate(no_volume); end;
  end;
end;

procedure shake_hands_with(log: log_of; forgotten: lsn; extent_bound: bound);
var disk: disk_of;
begin
  disk.log := log;
  disk.forgotten := forgotten;
  disk.extent_bound := extent_bound;
  shake_hands(true, disk);
end;

procedure shake_hands_with_nobody();
var disk: disk_of;
begin
  write_log(disk.log, 0, 0, 0);
  disk.forgotten := 0;
  disk.extent_bound := UNBOUNDED;
  shake_hands(false, disk);
end;

function can_shake_hands(): boolean;
begin
  return in_phase(handshake) & is_fit();
end;

-- Whether a disk can be beside the primary's.
function is_possible(log: log_of): boolean;
var shared: lsn;
begin
  shared := alike(log, history.log);
  for p: entry_at do
    if p > shared & p <= log.length then
      if log.epoch[p] >= FIRST_EPOCH | same_entry(log, history.log, p) then return false; end;
    end;
  end;
  return true;
end;

rule "handshake, no volume there"
  can_shake_hands()
==>
begin
  shake_hands_with_nobody();
end;

rule "handshake, no volume there, the last epoch-start entry reported"
  FALSE_REPORTS & can_shake_hands()
==>
begin
  shake_hands_with_nobody();
end;

rule "handshake of a rebuild"
  can_shake_hands() & session.kind = rebuild
==>
var log: log_of;
begin
  write_log(log, 0, 0, 0);
  shake_hands_with(log, 0, 0);
end;

function is_offered(number: 1..DISKS): boolean;
var disk: disk_of;
begin
  get_disk(number, disk);
  if !is_possible(disk.log) then return false; end;
  -- A beginning of the primary's log is there already.
  return !(PREFIXES & disk.extent_bound = 0 & disk.forgotten = 0
           & alike(disk.log, history.log) = disk.log.length);
end;

ruleset number: 1..DISKS do
  rule "handshake, a disk of the list"
    !ALL_DISKS & can_shake_hands() & session.kind != rebuild & is_offered(number)
  ==>
  var disk: disk_of;
  begin
    get_disk(number, disk);
    shake_hands(true, disk);
  end;
end;

ruleset length: lsn do
  rule "handshake, a beginning of the primary's log"
    PREFIXES & can_shake_hands() & session.kind != rebuild & length <= head()
  ==>
  var log: log_of;
  begin
    log := history.log;
    cut_log(log, length);
    shake_hands_with(log, 0, 0);
  end;
end;

-- A log whose epochs are 1 to 3 and never fall is told by how many entries it has of each.
procedure compose(ones: lsn; twos: lsn; threes: lsn; var log: log_of);
begin
  undefine log;
  log.length := 0;
  for p: entry_at do
    if p <= ones then push(log, 1);
    elsif p <= ones + twos then push(log, 2);
    elsif p <= ones + twos + threes then push(log, 3);
    end;
  end;
end;

function is_any_disk(ones: lsn; twos: lsn; threes: lsn; extent: 0..LOG + 2): boolean;
var log: log_of;
begin
  if !can_shake_hands() | session.kind = rebuild | ones + twos + threes > LOG then return false; end;
  -- Extents after the unbounded one: the first epoch forgotten.
  if extent = LOG + 2 & (ones > 0 ? 1 : 0) + (twos > 0 ? 1 : 0) + (threes > 0 ? 1 : 0) < 2 then
    return false;
  end;
  if extent <= LOG & extent > ones + twos + threes then return false; end;
  compose(ones, twos, threes, log);
  return is_possible(log);
end;

ruleset ones: 0..(ALL_DISKS ? LOG : 0); twos: 0..(ALL_DISKS ? LOG : 0);
        threes: 0..(ALL_DISKS ? LOG : 0); extent: 0..(ALL_DISKS ? LOG + 2 : 0) do
  rule "handshake, any disk"
    ALL_DISKS & is_any_disk(ones, twos, threes, extent)
  ==>
  var log: log_of;
  begin
    compose(ones, twos, threes, log);
    if extent <= LOG then shake_hands_with(log, 0, extent);
    elsif extent = LOG + 1 then shake_hands_with(log, 0, UNBOUNDED);
    else shake_hands_with(log, 1, 0);
    end;
  end;
end;

--------------------------------------------------------------------------------------------------
-- Pins

function replays_from(): lsn;
begin
  return in_phase(catch_up) ? session.from : session.base_lsn;
end;

function pins_in_play(): boolean;
begin
  return in_phase(catch_up) | in_phase(source_select);
end;

ruleset which: slot do
  rule "pinned"
    pins_in_play() & session.pins[which] = requested
  ==>
  begin
    ghost.acquired[which][session.id] := true;
    if which = retention
       & (isundefined(history.retained_from) | history.retained_from > replays_from()) then
      escalate(retention_lost);
    else
      session.pins[which] := held;
      moved_on();
    end;
  end;

  rule "pin_failed"
    pins_in_play() & session.pins[which] = requested
  ==>
  begin
    interrupt(fault);
  end;

  rule "pin_lost"
    (pins_in_play() | in_phase(transfer) | in_phase(tail_replay)) & session.pins[which] = held
  ==>
  begin
    ghost.acquired[which][session.id] := false;
    escalate(retention_lost);
  end;
end;

--------------------------------------------------------------------------------------------------
-- Truncation, progress, completion

rule "truncated"
  in_phase(catch_up) & session.cut = required
==>
begin
  session.cut := confirmed;
  if !isundefined(sender.acknowledged) & sender.acknowledged > session.cut_to then
    sender.acknowledged := session.cut_to;
  end;
  moved_on();
  if ghost.extent_bound > session.cut_to then ghost.extent_bound := UNBOUNDED; end;
  cut_log(ghost.log, session.cut_to);
  ghost.promised := lesser(ghost.promised, session.cut_to);
end;

rule "truncation_refused"
  in_phase(catch_up) & session.cut = required
==>
begin
  escalate(truncation_unsafe);
end;

function streams(): boolean;
begin
  return (in_phase(catch_up) | in_phase(tail_replay))
    & session.cut != required & session.pins[retention] != requested
    & session.pins[base] != requested;
end;

function goal(): lsn;
begin
  return in_phase(catch_up) ? session.target : session.goal;
end;

function at_least(): lsn;
begin
  if !isundefined(session.acked) then return session.acked; end;
  return in_phase(catch_up) ? lesser(session.from, session.target) : session.base_lsn;
end;

-- The replica proved it; what it lacked came from the primary.
procedure proven(durable: lsn);
begin
  for p: entry_at do
    if p > ghost.log.length & p <= durable then push(ghost.log, history.log.epoch[p]); end;
  end;
  ghost.promised := greater(ghost.promised, durable);
  session.acked := durable;
  if isundefined(sender.acknowledged) | sender.acknowledged < durable then
    sender.acknowledged := durable;
  end;
end;

ruleset durable: lsn do
  rule "progress"
    streams() & durable >= at_least() & durable <= goal()
  ==>
  begin
    if isundefined(session.acked) | durable > session.acked then moved_on(); end;
    proven(durable);
  end;

  rule "acknowledged"
    in_phase(completed) & durable >= session.acked & durable <= head()
  ==>
  begin
    proven(durable);
  end;
end;

procedure complete_at(proof: lsn);
var kept: record id: session_id; kind: kind_of; epoch: epoch_number; version: version_number;
                 since: tick; last_progress: tick; end;
begin
  release(retention);
  release(base);
  kept.id := session.id;
  kept.kind := session.kind;
  kept.epoch := session.epoch;
  kept.version := session.version;
  kept.since := session.since;
  kept.last_progress := session.last_progress;
  undefine session;
  session.id := kept.id;
  session.kind := kept.kind;
  session.epoch := kept.epoch;
  session.version := kept.version;
  session.since := kept.since;
  session.last_progress := kept.last_progress;
  session.phase := completed;
  session.cut := no_cut;
  session.pins[retention] := none;
  session.pins[base] := none;
  session.achieved := proof;
  session.acked := proof;
end;

rule "complete"
  streams() & !isundefined(session.acked) & session.acked >= goal()
==>
begin
  if session.kind = rebuild then ghost.owes_rebuild := false; end;
  complete_at(session.acked);
  sender.state := in_sync;
  undefine sender.reason;
end;

--------------------------------------------------------------------------------------------------
-- Rebuild

-- Whether the log can be replayed from a position.
function retained(from: lsn): boolean;
begin
  return !isundefined(history.retained_from) & history.retained_from <= from;
end;

function has_snapshot(): boolean;
begin
  return !isundefined(history.snapshot.base_lsn);
end;

procedure choose(source: source_of; why: source_reason; base_lsn: lsn);
begin
  session.source := source;
  session.why := why;
  session.base_lsn := base_lsn;
end;

ruleset report: 0..(FALSE_REPORTS ? 1 : 0) do
  rule "select_source"
    in_phase(source_select) & !has_selected() & is_fit()
  ==>
  begin
    session.target := right_target();
    ghost.target := right_target();
    ghost.split := history.checkpoint;
    if has_snapshot() then
      if history.snapshot.content = history.snapshot.base_lsn & retained(history.snapshot.content)
      then ghost.split := history.snapshot.content; end;
    end;
    if !has_snapshot() then
      choose(full_base, no_snapshot, history.checkpoint);
    elsif !history.snapshot.trusted then
      choose(full_base, untrusted_snapshot, history.checkpoint);
    elsif !retained(history.snapshot.base_lsn) then
      choose(full_base, unreplayable_tail, history.checkpoint);
    else
      choose(snapshot_tail, trusted_snapshot, history.snapshot.base_lsn);
    end;
    request(retention);
    request(base);
    moved_on();
  end;
end;

function pinned_at_source(): boolean;
begin
  return ghost.acquired[retention][session.id] & ghost.acquired[base][session.id];
end;

ruleset chunks: CHUNKS_LEAST..CHUNKS_MOST do
  rule "begin_transfer"
    in_phase(source_select) & has_selected() & session.pins[retention] = held
    & session.pins[base] = held
  ==>
  begin
    session.phase := transfer;
    session.chunks_total := chunks;
    session.chunks_done := 0;
    undefine sender.acknowledged;
    moved_on();
    ghost.pinned_for_transfer := pinned_at_source();
    ghost.extent_bound := UNBOUNDED;
    ghost.promised := 0;
  end;
end;

ruleset done: chunk do
  rule "transfer_progress"
    in_phase(transfer) & done >= session.chunks_done & done <= session.chunks_total
  ==>
  begin
    if done > session.chunks_done then moved_on(); end;
    session.chunks_done := done;
  end;
end;

procedure install(extent: bound);
begin
  ghost.base_whole := ghost.pinned_for_transfer & pinned_at_source()
    & session.chunks_done = session.chunks_total & history.extent_bound <= head();
  ghost.log := history.log;
  cut_log(ghost.log, session.base_lsn);
  ghost.extent_bound := extent;
  session.goal := greater(session.target, extent);
  release(base);
  session.phase := tail_replay;
  undefine session.chunks_total;
  undefine session.chunks_done;
  moved_on();
end;

rule "base_installed"
  in_phase(transfer) & session.chunks_done = session.chunks_total
==>
begin
  if session.source = snapshot_tail then
    install(session.base_lsn);
  else
    install(greater(session.base_lsn, history.extent_bound));
  end;
end;

--------------------------------------------------------------------------------------------------
-- Budgets and faults

ruleset over_bytes: boolean do
  rule "check_budget"
    TICKS > 0 & has_session() & session.phase != completed
  ==>
  begin
    if session.phase = init | session.phase = connecting | session.phase = handshake then
      if now - session.last_progress > BUDGET_OF_STALL then interrupt(fault); end;
    elsif now - session.since > BUDGET_OF_DURATION then
      escalate(budget_duration);
    elsif now - session.last_progress > BUDGET_OF_STALL then
      escalate(budget_stall);
    elsif over_bytes then
      escalate(budget_bytes);
    end;
  end;
end;

ruleset cause: 1..CAUSES do
  rule "fail"
    has_session()
  ==>
  begin
    interrupt(fault);
  end;
end;

--------------------------------------------------------------------------------------------------
-- Moves of the surroundings

rule "tick"
  now < TICKS
==>
begin
  now := now + 1;
end;

function room(): lsn;
begin
  return epoch_start() = 0 ? LOG_MAX : lesser(LOG, LOG_MAX - (EPOCHS - epoch));
end;

rule "append"
  known & serving & head() < room()
==>
begin
  push(history.log, epoch);
end;

rule "commit"
  MOVE_COMMIT & known & serving & epoch_start() != 0 & history.committed < head()
==>
begin
  history.committed := head();
end;

rule "write_back"
  MOVE_WRITE_BACK & known & serving & history.extent_bound <= head()
  & history.checkpoint < history.committed
==>
begin
  history.checkpoint := history.committed;
  history.extent_bound := history.committed;
end;

-- Up to where log space may be reused.
function reclaimable(): lsn;
begin
  if has_session() & ghost.acquired[retention][session.id]
     & (in_phase(catch_up) | (in_phase(source_select) & has_selected()) | in_phase(transfer)
        | in_phase(tail_replay)) then
    return lesser(history.checkpoint, replays_from());
  end;
  return history.checkpoint;
end;

rule "reclaim"
  MOVE_RECLAIM & known & serving & !isundefined(history.retained_from)
  & history.retained_from < reclaimable()
==>
begin
  history.retained_from := reclaimable();
end;

--------------------------------------------------------------------------------------------------
-- The beginning

ruleset number: 1..SCENES do
  startstate "scene"
  begin
    now := 0;
    known := false;
    get_scene(number, history);
    ghost.promised := 0;
    ghost.owes_rebuild := false;
    ghost.released_twice := false;
    for which: slot do
      for id: session_id do
        ghost.asked[which][id] := false;
        ghost.acquired[which][id] := false;
      end;
    end;
    blank_ghost_of_session();
  end;
end;
