-- The cluster, written in Murphi from docs/cluster.md alone, as far as its three instances for
-- twins go: two nodes, sync_all, write_ack = received, min_in_sync 1, prompt answers, no
-- write-back, no rebuild, no leases.
--
-- It shares nothing with the specification in Rust, nor with the twin in Promela, but that prose.
-- The bounds of an instance stand before this text. What is absent is undefined; what a node is
-- not (a primary, say) it knows nothing of.

const
  LOG_MAX: 7;

type
  node: 0..1;
  lsn: 0..LOG_MAX;
  entry_at: 1..LOG_MAX;
  epoch_number: 0..3;
  write_number: 1..2;
  session_number: 0..3;
  next_of: 1..LOG_MAX + 1;

  phase_of: enum { away, needs_rebuild, catch_up, in_sync };
  kind_of: enum { append, barrier, ack };

  entry_of: record epoch: epoch_number; write: 0..2; end;
  log_of: record length: lsn; entry: array [entry_at] of entry_of; end;
  nodes_of: array [node] of boolean;
  writes_of: array [write_number] of boolean;

  peer_of: record
    phase: phase_of;
    session: session_number;
    received: lsn;
    durable: lsn;
    next: next_of;
    target: lsn;
    cut: lsn;
  end;

  message_of: record
    kind: kind_of;
    from: node;
    epoch: epoch_number;
    session: session_number;
    lsn: lsn;                 -- append, barrier
    entry: entry_of;          -- append
    previous: epoch_number;   -- append
    committed: lsn;           -- append, barrier
    received: lsn;            -- ack
    durable: lsn;             -- ack
  end;

var
  -- Section 1. Stores keep their first identity; nothing is ever written back.
  the_record: record
    epoch: epoch_number;
    primary: node;            -- undefined: nobody
    last: node;
    isr: nodes_of;
    reports: array [node] of record last: epoch_number; durable: lsn; whole: boolean; end;
    request: record isr: nodes_of; newcomer: node; end;
    news: boolean;
  end;

  nodes: array [node] of record
    log: log_of;
    durable: lsn;
    committed: lsn;
    promised: epoch_number;
    session: session_number;
    whole: boolean;
    primary: boolean;
    lease: boolean;
    view: nodes_of;           -- of a primary only
    pending: nodes_of;        -- undefined: none
    next_session: session_number;
    peer: peer_of;            -- the other node, as a primary sees it
  end;

  issued: 0..WRITES;
  acked: writes_of;
  flushed: writes_of;
  excused: writes_of;
  dropped: writes_of;

  past: record log: log_of; split: boolean; reported: boolean; end;

  -- The smaller of two messages is first.
  wire: array [0..1] of message_of;

--------------------------------------------------------------------------------------------------
-- Logs

function other(n: node): node;
begin
  return 1 - n;
end;

function head(n: node): lsn;
begin
  return nodes[n].log.length;
end;

function lesser(a: lsn; b: lsn): lsn;
begin
  return a < b ? a : b;
end;

function greater(a: lsn; b: lsn): lsn;
begin
  return a > b ? a : b;
end;

-- The epoch of the entry at a position; position 0 has epoch 0.
function epoch_at(log: log_of; position: lsn): epoch_number;
begin
  return position = 0 ? 0 : log.entry[position].epoch;
end;

procedure push(var log: log_of; epoch: epoch_number; write: 0..2);
begin
  log.length := log.length + 1;
  log.entry[log.length].epoch := epoch;
  log.entry[log.length].write := write;
end;

procedure cut_log(var log: log_of; last: lsn);
begin
  if log.length > last then
    log.length := last;
    for p: entry_at do
      if p > last then undefine log.entry[p]; end;
    end;
  end;
end;

-- The first position with an entry of an epoch; 0: there is none.
function first_of(log: log_of; epoch: epoch_number): lsn;
begin
  for p: entry_at do
    if p <= log.length & log.entry[p].epoch = epoch then return p; end;
  end;
  return 0;
end;

function common(a: log_of; b: log_of): lsn;
var shared: lsn;
begin
  shared := 0;
  for p: entry_at do
    if p = shared + 1 & p <= a.length & p <= b.length & a.entry[p].epoch = b.entry[p].epoch then
      shared := p;
    end;
  end;
  return shared;
end;

-- Whether a write is in a log, at a position after one.
function holds(log: log_of; write: write_number; first: lsn): boolean;
begin
  for p: entry_at do
    if p > first & p <= log.length & log.entry[p].write = write then return true; end;
  end;
  return false;
end;

--------------------------------------------------------------------------------------------------
-- Primaries and their peers

procedure reset_peer(p: node);
begin
  undefine nodes[p].peer;
  nodes[p].peer.phase := away;
end;

procedure step_down(n: node);
begin
  nodes[n].primary := false;
  nodes[n].lease := false;
  undefine nodes[n].view;
  undefine nodes[n].pending;
  undefine nodes[n].next_session;
  undefine nodes[n].peer;
end;

function has_pending(p: node): boolean;
begin
  return !isundefined(nodes[p].pending[0]);
end;

function has_request(): boolean;
begin
  return !isundefined(the_record.request.isr[0]);
end;

function has_primary(): boolean;
begin
  return !isundefined(the_record.primary);
end;

function is_acting(p: node): boolean;
begin
  return has_primary() & the_record.primary = p & nodes[p].primary
    & nodes[p].promised = the_record.epoch;
end;

function in_phase(p: node; phase: phase_of): boolean;
begin
  return nodes[p].primary & nodes[p].peer.phase = phase;
end;

function is_connected(p: node): boolean;
begin
  return nodes[p].primary & nodes[p].peer.phase != away
    & nodes[p].peer.session = nodes[other(p)].session
    & nodes[p].promised = nodes[other(p)].promised;
end;

function must_truncate(p: node): boolean;
begin
  return nodes[p].primary & nodes[p].peer.phase != away & !isundefined(nodes[p].peer.cut);
end;

function streams(p: node): boolean;
begin
  return (in_phase(p, catch_up) | in_phase(p, in_sync)) & !must_truncate(p);
end;

-- What the primary knows the other node to hold.
function known_durable(p: node): lsn;
begin
  return nodes[p].peer.phase = away ? 0 : nodes[p].peer.durable;
end;

function known_received(p: node): lsn;
begin
  return nodes[p].peer.phase = away ? 0 : nodes[p].peer.received;
end;

--------------------------------------------------------------------------------------------------
-- Who must acknowledge (section 2)

function is_empty(group: nodes_of): boolean;
begin
  return !group[0] & !group[1];
end;

-- Under sync_all: by the primary itself, by the other.
function suffices(group: nodes_of; p: node; own: boolean; others: boolean): boolean;
begin
  return !is_empty(group) & (!group[p] | own) & (!group[other(p)] | others);
end;

function is_enough(p: node; own: boolean; others: boolean): boolean;
begin
  return suffices(nodes[p].view, p, own, others)
    & (!has_pending(p) | suffices(nodes[p].pending, p, own, others));
end;

function durable_enough(p: node; position: lsn): boolean;
begin
  return is_enough(p, nodes[p].durable >= position, known_durable(p) >= position);
end;

function received_enough(p: node; position: lsn): boolean;
begin
  return is_enough(p, head(p) >= position, known_received(p) >= position);
end;

procedure commit_to(p: node; position: lsn);
begin
  nodes[p].committed := position;
  for l: entry_at do
    if l <= position then
      if l <= past.log.length then
        if past.log.entry[l].epoch != nodes[p].log.entry[l].epoch
           | past.log.entry[l].write != nodes[p].log.entry[l].write then
          past.split := true;
        end;
      else
        push(past.log, nodes[p].log.entry[l].epoch, nodes[p].log.entry[l].write);
      end;
    end;
  end;
end;

procedure commit(p: node);
var position: lsn;
begin
  if nodes[p].primary then
    position := 0;
    for l: entry_at do
      if l > nodes[p].committed & l <= head(p) then
        if nodes[p].log.entry[l].epoch = nodes[p].promised & durable_enough(p, l) then
          position := l;
        end;
      end;
    end;
    if position > 0 then commit_to(p, position); end;
  end;
end;

--------------------------------------------------------------------------------------------------
-- The client, and what follows every step (sections 3 and 10)

function serves(p: node): boolean;
var first: lsn;
begin
  if !nodes[p].primary | !nodes[p].lease then return false; end;
  first := first_of(nodes[p].log, nodes[p].promised);
  return first != 0 & nodes[p].committed >= first;
end;

function is_alone(group: nodes_of): boolean;
begin
  return group[0] != group[1];
end;

procedure answer_writes(p: node);
begin
  for l: entry_at do
    if l <= head(p) & nodes[p].log.entry[l].epoch = nodes[p].promised
       & nodes[p].log.entry[l].write != 0 & received_enough(p, l)
       & !(has_pending(p) & is_alone(nodes[p].pending) & nodes[p].durable < l) then
      acked[nodes[p].log.entry[l].write] := true;
    end;
  end;
end;

procedure answer_flush(p: node);
begin
  for w: write_number do
    if acked[w] & !excused[w] & !holds(nodes[p].log, w, nodes[p].committed) then
      flushed[w] := true;
    end;
  end;
end;

-- Whether a node holds the very entries of another up to a position, durably.
function has_the_same(n: node; p: node; position: lsn): boolean;
begin
  if nodes[n].durable < position then return false; end;
  for l: entry_at do
    if l <= position then
      if nodes[n].log.entry[l].epoch != nodes[p].log.entry[l].epoch
         | nodes[n].log.entry[l].write != nodes[p].log.entry[l].write then return false; end;
    end;
  end;
  return true;
end;

-- A8: every member holds what was just answered as flushed.
function flush_was_right(before: writes_of): boolean;
var p: node; position: lsn;
begin
  if !has_primary() then return true; end;
  p := the_record.primary;
  if !is_acting(p) then return true; end;
  position := 0;
  for l: entry_at do
    if l <= head(p) then
      if nodes[p].log.entry[l].write != 0 then
        if flushed[nodes[p].log.entry[l].write] & !before[nodes[p].log.entry[l].write] then
          position := l;
        end;
      end;
    end;
  end;
  if position = 0 then return true; end;
  for n: node do
    if the_record.isr[n] & !has_the_same(n, p, position) then return false; end;
  end;
  return !is_empty(the_record.isr);
end;

procedure settle(served: nodes_of);
var before: writes_of;
begin
  before := flushed;
  for n: node do
    if serves(n) & !served[n] then
      for w: write_number do
        if w <= issued & !holds(nodes[n].log, w, 0) then dropped[w] := true; end;
      end;
    end;
  end;
  for p: node do
    if serves(p) then
      answer_writes(p);
      answer_flush(p);
    end;
  end;
  assert flush_was_right(before) "A8-flush";
end;

procedure look(var served: nodes_of);
begin
  for n: node do served[n] := serves(n); end;
end;

ruleset p: node do
  rule "write"
    issued < WRITES & head(p) < LOG_MAX & serves(p)
  ==>
  var served: nodes_of;
  begin
    look(served);
    issued := issued + 1;
    push(nodes[p].log, nodes[p].promised, issued);
    settle(served);
  end;

  rule "sync"
    nodes[p].primary & nodes[p].durable < head(p)
  ==>
  var served: nodes_of;
  begin
    look(served);
    nodes[p].durable := head(p);
    commit(p);
    settle(served);
  end;
end;

--------------------------------------------------------------------------------------------------
-- The stream (section 4)

procedure next_append(p: node; var m: message_of);
var position: lsn;
begin
  undefine m;
  position := nodes[p].peer.next;
  m.kind := append;
  m.from := p;
  m.epoch := nodes[p].promised;
  m.session := nodes[p].peer.session;
  m.lsn := position;
  m.entry := nodes[p].log.entry[position];
  m.previous := epoch_at(nodes[p].log, position - 1);
  m.committed := nodes[p].committed;
end;

procedure next_barrier(p: node; var m: message_of);
begin
  undefine m;
  m.kind := barrier;
  m.from := p;
  m.epoch := nodes[p].promised;
  m.session := nodes[p].peer.session;
  m.lsn := nodes[p].peer.next - 1;
  m.committed := nodes[p].committed;
end;

function is_taken(r: node; m: message_of): boolean;
begin
  if nodes[r].primary | nodes[r].promised != m.epoch | nodes[r].session != m.session then
    return false;
  end;
  if m.kind = barrier then return head(r) >= m.lsn; end;
  return m.lsn = head(r) + 1 & epoch_at(nodes[r].log, head(r)) = m.previous;
end;

-- A node takes an append or a barrier, and answers.
procedure take(r: node; m: message_of; var answer: message_of);
begin
  if m.kind = append then push(nodes[r].log, m.entry.epoch, m.entry.write);
  else nodes[r].durable := head(r);
  end;
  undefine answer;
  answer.kind := ack;
  answer.from := r;
  answer.epoch := m.epoch;
  answer.session := m.session;
  answer.received := head(r);
  answer.durable := lesser(nodes[r].durable, head(r));
end;

procedure hear(p: node; m: message_of);
begin
  if nodes[p].promised = m.epoch & streams(p) & nodes[p].peer.session = m.session then
    nodes[p].peer.received := greater(nodes[p].peer.received, m.received);
    nodes[p].peer.durable := greater(nodes[p].peer.durable, m.durable);
    if nodes[p].peer.phase = catch_up & nodes[p].peer.durable >= nodes[p].peer.target then
      nodes[p].peer.phase := in_sync;
      nodes[p].peer.target := 0;
    end;
    if nodes[p].peer.received >= head(p) & is_connected(p) & head(other(p)) >= head(p) then
      nodes[other(p)].whole := true;
    end;
    commit(p);
  end;
end;

-- At once, where there is no wire.
procedure exchange(p: node; m: message_of);
var answer: message_of;
begin
  if is_taken(other(p), m) then
    take(other(p), m, answer);
    hear(p, answer);
  else
    reset_peer(p);
  end;
end;

function has_next(p: node): boolean;
begin
  return streams(p) & nodes[p].peer.next <= head(p);
end;

ruleset p: node do
  rule "ship"
    WIRE = 0 & has_next(p)
  ==>
  var served: nodes_of; m: message_of;
  begin
    look(served);
    next_append(p, m);
    nodes[p].peer.next := nodes[p].peer.next + 1;
    exchange(p, m);
    settle(served);
  end;

  rule "barrier"
    WIRE = 0 & streams(p)
    & (nodes[other(p)].durable < head(other(p)) | nodes[p].peer.durable < nodes[other(p)].durable
       | !is_connected(p))
  ==>
  var served: nodes_of; m: message_of;
  begin
    look(served);
    next_barrier(p, m);
    exchange(p, m);
    settle(served);
  end;
end;

function is_there(number: 0..1): boolean;
begin
  return !isundefined(wire[number].kind);
end;

function has_room(): boolean;
begin
  return WIRE > 0 & !is_there(1);
end;

-- Messages in some order, so that a set of them is written in one way only.
function rank(m: message_of): 0..8388607;
var sum: 0..8388607;
begin
  sum := m.kind = append ? 0 : (m.kind = barrier ? 1 : 2);
  sum := sum * 2 + m.from;
  sum := sum * 4 + m.epoch;
  sum := sum * 4 + m.session;
  if m.kind = ack then
    sum := (sum * 8 + m.received) * 8 + m.durable;
  else
    sum := (sum * 8 + m.lsn) * 8 + m.committed;
  end;
  sum := sum * 64;
  if m.kind = append then
    sum := sum + (m.entry.epoch * 3 + m.entry.write) * 4 + m.previous;
  end;
  return sum;
end;

procedure put_on(m: message_of);
begin
  if !is_there(0) then
    wire[0] := m;
  elsif rank(m) < rank(wire[0]) then
    wire[1] := wire[0];
    wire[0] := m;
  elsif rank(m) > rank(wire[0]) then
    wire[1] := m;
  end;
end;

procedure take_off(number: 0..1);
begin
  if number = 0 & is_there(1) then
    wire[0] := wire[1];
    undefine wire[1];
  else
    undefine wire[number];
  end;
end;

function is_under_way(m: message_of): boolean;
begin
  for number: 0..1 do
    if is_there(number) & rank(wire[number]) = rank(m) then return true; end;
  end;
  return false;
end;

function barrier_is_new(p: node): boolean;
var m: message_of;
begin
  next_barrier(p, m);
  return !is_under_way(m);
end;

ruleset p: node do
  rule "send_append"
    has_room() & has_next(p)
  ==>
  var served: nodes_of; m: message_of;
  begin
    look(served);
    next_append(p, m);
    nodes[p].peer.next := nodes[p].peer.next + 1;
    put_on(m);
    settle(served);
  end;

  rule "send_barrier"
    has_room() & streams(p) & nodes[p].peer.durable + 1 < nodes[p].peer.next & barrier_is_new(p)
  ==>
  var served: nodes_of; m: message_of;
  begin
    look(served);
    next_barrier(p, m);
    put_on(m);
    settle(served);
  end;
end;

-- What is not taken off was answered before: an answer that is there already is there once.
procedure arrive(m: message_of);
var answer: message_of;
begin
  if m.kind = ack then
    hear(other(m.from), m);
  elsif is_taken(other(m.from), m) then
    take(other(m.from), m, answer);
    if !is_under_way(answer) then put_on(answer); end;
  end;
end;

ruleset number: 0..1 do
  rule "deliver"
    is_there(number)
  ==>
  var served: nodes_of; m: message_of;
  begin
    look(served);
    m := wire[number];
    take_off(number);
    arrive(m);
    settle(served);
  end;

  rule "deliver_twin"
    TWINS & has_room() & is_there(number)
  ==>
  var served: nodes_of; m: message_of;
  begin
    look(served);
    m := wire[number];
    arrive(m);
    settle(served);
  end;

  rule "drop"
    is_there(number)
  ==>
  begin
    take_off(number);
  end;
end;

--------------------------------------------------------------------------------------------------
-- Sessions (section 5)

procedure greet(p: node);
var shared: lsn; number: session_number;
begin
  number := nodes[p].next_session;
  if WIRE > 0 then nodes[p].next_session := number + 1; end;
  if nodes[other(p)].promised < nodes[p].promised then
    step_down(other(p));
    nodes[other(p)].promised := nodes[p].promised;
  end;
  nodes[other(p)].durable := head(other(p));
  nodes[other(p)].session := number;
  shared := common(nodes[p].log, nodes[other(p)].log);
  reset_peer(p);
  nodes[p].peer.phase := catch_up;
  nodes[p].peer.session := number;
  nodes[p].peer.received := 0;
  nodes[p].peer.durable := 0;
  nodes[p].peer.next := shared + 1;
  nodes[p].peer.target :=
    greater(nodes[p].committed, first_of(nodes[p].log, nodes[p].promised));
  if nodes[other(p)].durable > shared then nodes[p].peer.cut := shared; end;
end;

ruleset p: node do
  rule "handshake"
    in_phase(p, away) & (WIRE = 0 | nodes[p].next_session <= SESSIONS)
  ==>
  var served: nodes_of;
  begin
    look(served);
    if nodes[other(p)].promised > nodes[p].promised then step_down(p); else greet(p); end;
    settle(served);
  end;

  rule "truncate"
    must_truncate(p) & is_connected(p)
  ==>
  var served: nodes_of; cut: lsn;
  begin
    look(served);
    cut := nodes[p].peer.cut;
    cut_log(nodes[other(p)].log, cut);
    nodes[other(p)].durable := lesser(nodes[other(p)].durable, cut);
    nodes[other(p)].committed := lesser(nodes[other(p)].committed, cut);
    undefine nodes[p].peer.cut;
    settle(served);
  end;

  rule "disconnect"
    nodes[p].primary & !in_phase(p, away) & !is_connected(p)
  ==>
  var served: nodes_of;
  begin
    look(served);
    reset_peer(p);
    settle(served);
  end;
end;

--------------------------------------------------------------------------------------------------
-- Changes of the record (section 8)

function may_propose(p: node): boolean;
begin
  return is_acting(p) & !has_pending(p) & !has_request() & !the_record.news;
end;

function acknowledged_so_far(p: node): lsn;
var position: lsn;
begin
  position := first_of(nodes[p].log, nodes[p].promised) - 1;  -- adopted
  for l: entry_at do
    if l <= head(p) & nodes[p].log.entry[l].write != 0 then
      if acked[nodes[p].log.entry[l].write] then position := greater(position, l); end;
    end;
  end;
  return position;
end;

procedure reset_request();
begin
  undefine the_record.request;
end;

procedure propose(p: node; isr: nodes_of);
begin
  the_record.request.isr := isr;
  nodes[p].pending := isr;
end;

ruleset p: node do
  rule "propose_join"
    JOINS & may_propose(p) & !nodes[p].view[other(p)] & in_phase(p, in_sync)
    & nodes[p].peer.durable >= head(p)
  ==>
  var served: nodes_of; isr: nodes_of;
  begin
    look(served);
    isr := nodes[p].view;
    isr[other(p)] := true;
    propose(p, isr);
    the_record.request.newcomer := other(p);
    settle(served);
  end;

  -- One member stays, and the members get fewer.
  rule "propose_leave"
    LEAVES & may_propose(p) & nodes[p].view[other(p)]
    & (in_phase(p, away) | in_phase(p, needs_rebuild))
    & nodes[p].durable >= acknowledged_so_far(p)
  ==>
  var served: nodes_of; isr: nodes_of;
  begin
    look(served);
    isr := nodes[p].view;
    isr[other(p)] := false;
    propose(p, isr);
    settle(served);
  end;

  rule "read_record"
    is_acting(p) & the_record.news
  ==>
  var served: nodes_of;
  begin
    look(served);
    the_record.news := false;
    nodes[p].view := the_record.isr;
    undefine nodes[p].pending;
    commit(p);
    settle(served);
  end;

  rule "withdraw"
    is_acting(p) & has_pending(p) & !the_record.news
  ==>
  var served: nodes_of;
  begin
    look(served);
    reset_request();
    undefine nodes[p].pending;
    commit(p);
    settle(served);
  end;
end;

rule "land"
  has_request()
==>
begin
  the_record.isr := the_record.request.isr;
  the_record.news := true;
  reset_request();
end;

rule "lose_request"
  LOST_REQUESTS & has_request()
==>
begin
  reset_request();
end;

--------------------------------------------------------------------------------------------------
-- The authority (section 9)

procedure reset_reports();
begin
  undefine the_record.reports;
end;

function has_reported(n: node): boolean;
begin
  return !isundefined(the_record.reports[n].last);
end;

rule "mint, or mint_again"
  the_record.epoch < EPOCHS
==>
var served: nodes_of;
begin
  look(served);
  the_record.epoch := the_record.epoch + 1;
  undefine the_record.primary;
  reset_reports();
  reset_request();
  the_record.news := false;
  for n: node do nodes[n].lease := false; end;
  settle(served);
end;

function is_eligible(n: node): boolean;
begin
  return has_reported(n) & the_record.isr[n];
end;

-- Whether the report of the other is greater.
function is_outdone(n: node): boolean;
begin
  if !is_eligible(other(n)) then return false; end;
  return the_record.reports[other(n)].last > the_record.reports[n].last
    | (the_record.reports[other(n)].last = the_record.reports[n].last
       & the_record.reports[other(n)].durable > the_record.reports[n].durable);
end;

-- Whether every member but the last primary (the last primary too if it is the only one) was heard
-- and holds what it received.
function all_heard(): boolean;
begin
  for n: node do
    if the_record.isr[n] & (n != the_record.last | !the_record.isr[other(n)]) then
      if !has_reported(n) then return false; end;
      if !the_record.reports[n].whole then return false; end;
    end;
  end;
  return true;
end;

procedure lead(n: node);
begin
  the_record.primary := n;
  the_record.last := n;
  the_record.news := false;
  reset_reports();
  nodes[n].primary := true;
  nodes[n].lease := true;
  nodes[n].next_session := 1;
  nodes[n].view := the_record.isr;
  reset_peer(n);
  push(nodes[n].log, nodes[n].promised, 0);
end;

ruleset n: node do
  rule "fence"
    !has_primary() & !has_reported(n) & nodes[n].promised <= the_record.epoch
  ==>
  var served: nodes_of;
  begin
    look(served);
    step_down(n);
    nodes[n].session := 0;
    nodes[n].promised := the_record.epoch;
    nodes[n].durable := head(n);
    the_record.reports[n].last := epoch_at(nodes[n].log, head(n));
    the_record.reports[n].durable := head(n);
    the_record.reports[n].whole := nodes[n].whole;
    settle(served);
  end;

  rule "promote"
    !has_primary() & !nodes[n].primary & head(n) < LOG_MAX
    & nodes[n].promised = the_record.epoch & is_eligible(n) & !is_outdone(n)
  ==>
  var served: nodes_of;
  begin
    look(served);
    past.reported := !all_heard();
    for w: write_number do
      if holds(nodes[n].log, w, 0) then
        excused[w] := false;
      elsif past.reported & acked[w] & !flushed[w] then
        excused[w] := true;
      end;
    end;
    lead(n);
    settle(served);
  end;

  -- Section 10. It restarts in the same step.
  rule "crash"
    n = 1 | FIRST_MAY_CRASH
  ==>
  var served: nodes_of;
  begin
    look(served);
    step_down(n);
    cut_log(nodes[n].log, nodes[n].durable);
    nodes[n].committed := 0;
    nodes[n].session := 0;
    nodes[n].whole := false;
    settle(served);
  end;
end;

--------------------------------------------------------------------------------------------------
-- The beginning

procedure format(n: node);
begin
  nodes[n].log.length := 0;
  nodes[n].durable := 0;
  nodes[n].committed := 0;
  nodes[n].promised := 0;
  nodes[n].session := 0;
  nodes[n].whole := true;
  nodes[n].primary := false;
  nodes[n].lease := false;
end;

procedure join_first(n: node);
begin
  push(nodes[n].log, 1, 0);
  nodes[n].durable := 1;
  nodes[n].committed := 1;
  nodes[n].promised := 1;
  nodes[n].session := n;
end;

startstate "in service"
begin
  the_record.epoch := 1;
  the_record.primary := 0;
  the_record.last := 0;
  the_record.isr[0] := true;
  the_record.isr[1] := SECOND_IS_MEMBER;
  the_record.news := false;
  for n: node do
    format(n);
    if the_record.isr[n] then join_first(n); end;
  end;
  nodes[0].primary := true;
  nodes[0].lease := true;
  nodes[0].view := the_record.isr;
  nodes[0].next_session := WIRE > 0 ? 2 : 1;
  reset_peer(0);
  if SECOND_IS_MEMBER then
    nodes[0].peer.phase := in_sync;
    nodes[0].peer.session := 1;
    nodes[0].peer.received := 1;
    nodes[0].peer.durable := 1;
    nodes[0].peer.next := 2;
    nodes[0].peer.target := 0;
  end;
  issued := 0;
  for w: write_number do
    acked[w] := false;
    flushed[w] := false;
    excused[w] := false;
    dropped[w] := false;
  end;
  past.log.length := 0;
  push(past.log, 1, 0);
  past.split := false;
  past.reported := false;
end;

--------------------------------------------------------------------------------------------------
-- Properties (section 12); A8-flush is judged where it is answered

-- Whether the acting primary, if there is one, has a write in its log.
function is_kept(w: write_number): boolean;
begin
  if !has_primary() then return true; end;
  return !is_acting(the_record.primary) | holds(nodes[the_record.primary].log, w, 0);
end;

invariant "A1-survives"
  forall w: write_number do flushed[w] & !excused[w] -> is_kept(w) end;

invariant "W1-received"
  forall w: write_number do acked[w] & !excused[w] -> is_kept(w) end;

function is_durable(n: node; w: write_number): boolean;
begin
  for l: entry_at do
    if l <= nodes[n].durable then
      if nodes[n].log.entry[l].write = w then return true; end;
    end;
  end;
  return false;
end;

-- Whether every member holds all that was flushed.
function has_copies(): boolean;
begin
  if !(exists w: write_number do flushed[w] & !excused[w] end) then return true; end;
  for n: node do
    for w: write_number do
      if the_record.isr[n] & flushed[w] & !excused[w] & !is_durable(n, w) then return false; end;
    end;
  end;
  return !is_empty(the_record.isr);
end;

invariant "A1-copies"
  has_copies();

function stays_gone(): boolean;
begin
  if !has_primary() then return true; end;
  return !is_acting(the_record.primary)
    | !(exists w: write_number do dropped[w] & holds(nodes[the_record.primary].log, w, 0) end);
end;

invariant "A2-gone-is-gone"
  stays_gone();

invariant "A3-one-server"
  !(serves(0) & serves(1)) & forall n: node do serves(n) -> is_acting(n) end;

invariant "T1-one-history"
  !past.split;

function has_the_past(p: node): boolean;
begin
  for l: entry_at do
    if l <= past.log.length then
      if l > head(p) then return false; end;
      if nodes[p].log.entry[l].epoch != past.log.entry[l].epoch
         | nodes[p].log.entry[l].write != past.log.entry[l].write then return false; end;
    end;
  end;
  return true;
end;

invariant "T13-committed-kept"
  forall n: node do is_acting(n) -> has_the_past(n) end;

invariant "order"
  forall n: node do nodes[n].durable <= head(n) & nodes[n].committed <= head(n) end;
