-- The words of docs/session.md as types, for the Murphi twin of the recovery session: these, then
-- the bounds of an instance (smallest.m and its neighbours), then machine.m, are one program.
--
-- What is absent is undefined; a checker that is asked to read it reports that.

const
  LOG_MAX: 5;
  UNBOUNDED: 6;  -- an extent bound beyond every entry

type
  lsn: 0..LOG_MAX;
  bound: 0..UNBOUNDED;
  entry_at: 1..LOG_MAX;
  epoch_number: 0..4;
  small: 0..9;
  session_id: 1..4;
  chunk: 0..2;

  kind_of: enum { bootstrap, after_fault, reassign, rebuild };
  state_of: enum { disconnected, connecting_to, catching_up, in_sync, degraded, needs_rebuild,
                   rebuilding };
  phase_of: enum { init, connecting, handshake, catch_up, source_select, transfer, tail_replay,
                   completed };
  reason_for: enum { no_volume, untrusted_base, lost_acknowledged, lineage_exhausted,
                     divergent_extent, gap_beyond_retention, retention_lost, truncation_unsafe,
                     budget_duration, budget_entries, budget_stall, budget_bytes, ordered };
  source_of: enum { snapshot_tail, full_base };
  source_reason: enum { trusted_snapshot, unreplayable_tail, untrusted_snapshot, no_snapshot };
  intent_of: enum { nothing, recover_bootstrap, recover_after_fault, recover_reassign,
                    order_rebuild };
  class_of: enum { authority, fault, escalation };
  pin_at: enum { none, requested, held };
  cut_at: enum { no_cut, required, confirmed };
  slot: enum { retention, base };

  log_of: record
    length: lsn;
    epoch: array [entry_at] of epoch_number;
  end;

  disk_of: record
    log: log_of;
    forgotten: lsn;
    extent_bound: bound;
  end;

  shape_of: record
    named: boolean;
    member: boolean;
    intent: intent_of;
  end;

  history_of: record
    log: log_of;
    forgotten: lsn;
    committed: lsn;
    checkpoint: lsn;
    extent_bound: bound;
    retained_from: lsn;
    snapshot: record base_lsn: lsn; trusted: boolean; content: lsn; end;
  end;

-- Appends an entry.
procedure push(var log: log_of; epoch: epoch_number);
begin
  log.length := log.length + 1;
  log.epoch[log.length] := epoch;
end;

-- A log of up to three entries; 0: no entry.
procedure write_log(var log: log_of; a: epoch_number; b: epoch_number; c: epoch_number);
begin
  undefine log;
  log.length := 0;
  if a != 0 then push(log, a); end;
  if b != 0 then push(log, b); end;
  if c != 0 then push(log, c); end;
end;

-- A primary's disk to begin with: trusted, all of its log retained, nothing forgotten, no snapshot.
procedure write_scene(var history: history_of; a: epoch_number; b: epoch_number; c: epoch_number;
                      committed: lsn; checkpoint: lsn);
begin
  undefine history;
  write_log(history.log, a, b, c);
  history.forgotten := 0;
  history.committed := committed;
  history.checkpoint := checkpoint;
  history.extent_bound := checkpoint;
  history.retained_from := 0;
end;

procedure keep_snapshot(var history: history_of; base_lsn: lsn; trusted: boolean; content: lsn);
begin
  history.snapshot.base_lsn := base_lsn;
  history.snapshot.trusted := trusted;
  history.snapshot.content := content;
end;
