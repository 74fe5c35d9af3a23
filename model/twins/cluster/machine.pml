/* The cluster, written in Promela from docs/cluster.md alone, as far as its three instances for
 * twins go: two nodes, sync_all, write_ack = received, min_in_sync 1, prompt answers, no
 * write-back, no rebuild, no leases.
 *
 * It shares nothing with the specification in Rust but that prose. The bounds of an instance stand
 * before this text, what exhausts it after. Every action is one atomic step whose guard comes
 * first. It must be told to keep what is only written and never read (spin -o2): the past is part
 * of the state.
 */

#define NOBODY  9
#define NO_CUT  255
#define LOG_MAX 7

mtype:phase   = { NEEDS_REBUILD, CATCH_UP, IN_SYNC } /* 0: away */
mtype:message = { APPEND, BARRIER, ACK }

typedef Log { byte epoch[LOG_MAX]; byte number[LOG_MAX] }

/* -- State (section 1). Stores keep their first identity; nothing is ever written back. --------- */

byte record_epoch;
byte record_primary;
byte record_last;
byte record_isr;
bool reported[2];
byte report_last[2];
byte report_durable[2];
bool report_whole[2];
byte request; /* the in-sync set asked for; 0: none */
byte newcomer;
bool news;

Log log[2];
byte head[2];
byte durable[2];
byte committed[2];
byte promised[2]; /* and sworn */
byte session[2];
bool whole[2];
bool primary[2];

bool lease[2];
byte view[2];
byte pending[2]; /* 0: none */
byte next_session[2];
/* The peer of a primary: the other node. */
mtype:phase phase[2];
byte peer_session[2];
byte received[2];
byte proven[2];
byte next[2];
byte target[2];
byte cut[2];

byte issued;
byte acked;
byte flushed;
byte excused;
byte dropped;

Log past;
byte past_committed;
bool past_split;
bool past_reported;

int wire[2]; /* packed, the greater first; 0: none */

/* -- Scratch, used within one indivisible step only --------------------------------------------- */

hidden byte i;
hidden byte c;
hidden byte x;
hidden byte served_0;
hidden byte served_1;
hidden byte answered;
hidden byte m_kind;
hidden byte m_from;
hidden byte m_epoch;
hidden byte m_session;
hidden byte m_lsn;      /* of an ack: received */
hidden byte m_said;     /* committed; of an ack: durable */
hidden byte m_entry;
hidden byte m_write;
hidden byte m_previous;
hidden int packed;

/* -- Words --------------------------------------------------------------------------------------- */

#define BIT(n)        (1 << (n))
#define OTHER(n)      (1 - (n))
#define LESSER(a, b)  ((a) < (b) -> (a) : (b))
#define GREATER(a, b) ((a) > (b) -> (a) : (b))
#define ALONE(set)    ((set) == 1 || (set) == 2)

/* Epochs never fall in a log, and none is above a primary's own. */
#define OPEN(p)   (committed[p] > 0 && log[p].epoch[committed[p] - 1] == promised[p])
#define SERVES(p) (primary[p] && lease[p] && OPEN(p))
#define ACTING(p) (record_primary == (p) && primary[p] && promised[p] == record_epoch)

#define HELD(rule, holders)  ((rule) != 0 && ((rule) & (holders)) == (rule))
#define ENOUGH(p, holders)   (HELD(view[p], holders) && (pending[p] == 0 || HELD(pending[p], holders)))
#define DURABLE_AT(p, l)     ((durable[p] >= (l) -> BIT(p) : 0) | (proven[p] >= (l) -> BIT(OTHER(p)) : 0))
#define RECEIVED_AT(p, l)    ((head[p] >= (l) -> BIT(p) : 0) | (received[p] >= (l) -> BIT(OTHER(p)) : 0))

#define CONNECTED(p) (primary[p] && peer_session[p] != 0 && peer_session[p] == session[OTHER(p)] && \
	promised[OTHER(p)] == promised[p])
#define STREAMS(p)   (primary[p] && (phase[p] == CATCH_UP || phase[p] == IN_SYNC) && \
	peer_session[p] != 0 && cut[p] == NO_CUT)

inline reset_peer(p) {
	phase[p] = 0; peer_session[p] = 0; received[p] = 0; proven[p] = 0; next[p] = 0; target[p] = 0;
	cut[p] = NO_CUT
}

inline step_down(n) {
	primary[n] = false; lease[n] = false; view[n] = 0; pending[n] = 0; next_session[n] = 0;
	reset_peer(n)
}

inline cut_log(n, last) {
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i >= last -> log[n].epoch[i] = 0; log[n].number[i] = 0
		:: else
		fi
	}
	head[n] = LESSER(head[n], last)
}

/* Into x: the writes at positions after one. */
inline writes_after(n, first) {
	x = 0;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i >= first && i < head[n] && log[n].number[i] != 0 -> x = x | BIT(log[n].number[i])
		:: else
		fi
	}
}

/* Into x: the writes that were logged and are not in a node's log. */
inline writes_lacking(n) {
	writes_after(n, 0);
	x = ((1 << (issued + 1)) - 2) & (255 - x)
}

/* Into c: the first position of the node's epoch. */
inline own_epoch_start(n) {
	c = 0;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i < head[n] && c == 0 && log[n].epoch[i] == promised[n] -> c = i + 1
		:: else
		fi
	}
}

/* -- To commit (section 2) ----------------------------------------------------------------------- */

inline tell_past(p) {
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i < c && i < past_committed &&
		   (log[p].epoch[i] != past.epoch[i] || log[p].number[i] != past.number[i]) -> past_split = true
		:: i < c && i >= past_committed ->
			past.epoch[i] = log[p].epoch[i];
			past.number[i] = log[p].number[i]
		:: else
		fi
	}
	past_committed = GREATER(past_committed, c)
}

inline to_commit(p) {
	if
	:: primary[p] ->
		c = 0;
		for (i : 0 .. LOG_MAX - 1) {
			if
			:: i >= committed[p] && i < head[p] && log[p].epoch[i] == promised[p] &&
			   ENOUGH(p, DURABLE_AT(p, i + 1)) -> c = i + 1
			:: else
			fi
		}
		if
		:: c > 0 ->
			committed[p] = c;
			tell_past(p)
		:: else
		fi
	:: else
	fi
}

/* -- What follows every step (section 10) --------------------------------------------------------- */

inline before() {
	served_0 = SERVES(0);
	served_1 = SERVES(1)
}

inline opens(n, served) {
	if
	:: SERVES(n) && !served ->
		writes_lacking(n);
		dropped = dropped | x
	:: else
	fi
}

inline answers(p) {
	if
	:: SERVES(p) ->
		for (i : 0 .. LOG_MAX - 1) {
			if
			:: i < head[p] && log[p].epoch[i] == promised[p] && log[p].number[i] != 0 &&
			   ENOUGH(p, RECEIVED_AT(p, i + 1)) && !(ALONE(pending[p]) && durable[p] < i + 1) ->
				acked = acked | BIT(log[p].number[i])
			:: else
			fi
		}
		writes_after(p, committed[p]);
		flushed = flushed | (acked & (255 - x) & (255 - excused))
	:: else
	fi
}

inline after() {
	opens(0, served_0);
	opens(1, served_1);
	answers(0);
	answers(1)
}

/* -- The client (section 3) ----------------------------------------------------------------------- */

inline write(p) {
	atomic {
		issued < WRITES && head[p] < LOG_MAX && SERVES(p) ->
		d_step {
			before();
			issued = issued + 1;
			log[p].epoch[head[p]] = promised[p];
			log[p].number[head[p]] = issued;
			head[p] = head[p] + 1;
			after()
		}
	}
}

inline sync(n) {
	atomic {
		primary[n] && durable[n] < head[n] ->
		d_step {
			before();
			durable[n] = head[n];
			to_commit(n);
			after()
		}
	}
}

/* -- The stream (section 4) ------------------------------------------------------------------------ */

inline next_append(p) {
	m_kind = APPEND;
	m_from = p;
	m_epoch = promised[p];
	m_session = peer_session[p];
	m_lsn = next[p];
	m_said = committed[p];
	m_entry = log[p].epoch[next[p] - 1];
	m_write = log[p].number[next[p] - 1];
	m_previous = (next[p] == 1 -> 0 : log[p].epoch[GREATER(next[p], 2) - 2])
}

inline next_barrier(p) {
	m_kind = BARRIER;
	m_from = p;
	m_epoch = promised[p];
	m_session = peer_session[p];
	m_lsn = next[p] - 1;
	m_said = committed[p];
	m_entry = 0;
	m_write = 0;
	m_previous = 0
}

/* A node receives the append or barrier m_*. */
inline receive(r) {
	answered = false;
	if
	:: !primary[r] && promised[r] == m_epoch && session[r] == m_session ->
		if
		:: m_kind == APPEND && m_lsn == head[r] + 1 &&
		   m_previous == (head[r] == 0 -> 0 : log[r].epoch[GREATER(head[r], 1) - 1]) ->
			log[r].epoch[m_lsn - 1] = m_entry;
			log[r].number[m_lsn - 1] = m_write;
			head[r] = m_lsn;
			answered = true
		:: m_kind == BARRIER && head[r] >= m_lsn ->
			durable[r] = head[r];
			answered = true
		:: else
		fi
	:: else
	fi;
	if
	:: answered ->
		m_kind = ACK;
		m_from = r;
		m_lsn = head[r];
		m_said = LESSER(durable[r], head[r]);
		m_entry = 0;
		m_write = 0;
		m_previous = 0
	:: else
	fi
}

/* A node receives the ack m_*. */
inline receive_ack(p) {
	if
	:: promised[p] == m_epoch && STREAMS(p) && peer_session[p] == m_session ->
		received[p] = GREATER(received[p], m_lsn);
		proven[p] = GREATER(proven[p], m_said);
		if
		:: phase[p] == CATCH_UP && proven[p] >= target[p] ->
			phase[p] = IN_SYNC;
			target[p] = 0
		:: else
		fi;
		if
		:: received[p] >= head[p] && CONNECTED(p) && head[OTHER(p)] >= head[p] -> whole[OTHER(p)] = true
		:: else
		fi;
		to_commit(p)
	:: else
	fi
}

inline exchange(p) {
	receive(OTHER(p));
	if
	:: answered -> receive_ack(p)
	:: else -> reset_peer(p)
	fi
}

inline ship(p) {
	atomic {
		WIRE == 0 && STREAMS(p) && next[p] <= head[p] && next[p] > 0 ->
		d_step {
			before();
			next_append(p);
			next[p] = next[p] + 1;
			exchange(p);
			after()
		}
	}
}

inline barrier(p) {
	atomic {
		WIRE == 0 && STREAMS(p) && (durable[OTHER(p)] < head[OTHER(p)] ||
		proven[p] < durable[OTHER(p)] || !CONNECTED(p)) ->
		d_step {
			before();
			next_barrier(p);
			exchange(p);
			after()
		}
	}
}

/* A message as one number, so that the wire is a set. */
#define PACKED(kind, sender, e, s, l, said, entry, w, prev) \
	((((((((((kind) * 2 + (sender)) * 8 + (e)) * 8 + (s)) * 8 + (l)) * 8 + (said)) * 8 + (entry)) * 8 + (w)) * 8) + (prev))

inline pack() {
	packed = PACKED(m_kind, m_from, m_epoch, m_session, m_lsn, m_said, m_entry, m_write, m_previous)
}

inline unpack(n) {
	packed = wire[n];
	m_previous = packed & 7; packed = packed >> 3;
	m_write = packed & 7; packed = packed >> 3;
	m_entry = packed & 7; packed = packed >> 3;
	m_said = packed & 7; packed = packed >> 3;
	m_lsn = packed & 7; packed = packed >> 3;
	m_session = packed & 7; packed = packed >> 3;
	m_epoch = packed & 7; packed = packed >> 3;
	m_from = packed & 1;
	m_kind = packed >> 1
}

inline in_order() {
	if
	:: wire[0] < wire[1] ->
		packed = wire[0];
		wire[0] = wire[1];
		wire[1] = packed
	:: else
	fi
}

inline put_on_wire() {
	pack();
	if
	:: wire[0] == packed || wire[1] == packed -> skip
	:: else -> wire[1] = packed
	fi;
	in_order()
}

inline take_off(n) {
	wire[n] = 0;
	in_order()
}

/* Less than two are under way while there is room; the second place is then free. */
#define ROOM (WIRE > 0 && wire[1] == 0)

inline send_append(p) {
	atomic {
		ROOM && STREAMS(p) && next[p] <= head[p] && next[p] > 0 ->
		d_step {
			before();
			next_append(p);
			next[p] = next[p] + 1;
			put_on_wire();
			after()
		}
	}
}

#define SAME_BARRIER(p, n) (wire[n] == PACKED(BARRIER, p, promised[p], peer_session[p], next[p] - 1, committed[p], 0, 0, 0))

inline send_barrier(p) {
	atomic {
		ROOM && STREAMS(p) && !SAME_BARRIER(p, 0) && !SAME_BARRIER(p, 1) && proven[p] + 1 < next[p] ->
		d_step {
			before();
			next_barrier(p);
			put_on_wire();
			after()
		}
	}
}

inline received_at_its_end() {
	if
	:: m_kind == ACK && m_from == 1 -> receive_ack(0)
	:: m_kind == ACK && m_from == 0 -> receive_ack(1)
	:: else ->
		if
		:: m_from == 0 -> receive(1)
		:: else -> receive(0)
		fi;
		if
		:: answered -> put_on_wire()
		:: else
		fi
	fi
}

inline deliver(n) {
	atomic {
		wire[n] != 0 ->
		d_step {
			before();
			unpack(n);
			take_off(n);
			received_at_its_end();
			after()
		}
	}
}

inline deliver_twin(n) {
	atomic {
		TWINS && ROOM && wire[n] != 0 ->
		d_step {
			before();
			unpack(n);
			received_at_its_end();
			after()
		}
	}
}

inline drop(n) {
	atomic {
		wire[n] != 0 ->
		d_step {
			before();
			take_off(n);
			after()
		}
	}
}

/* -- Sessions (section 5) --------------------------------------------------------------------------- */

/* Into x: the greatest position up to which both logs hold entries of the same epochs. */
inline find_common() {
	x = 0;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: x == i && i < head[0] && i < head[1] && log[0].epoch[i] == log[1].epoch[i] -> x = i + 1
		:: else
		fi
	}
}

inline handshake(p) {
	atomic {
		primary[p] && phase[p] == 0 && (WIRE == 0 || next_session[p] <= SESSIONS) ->
		d_step {
			before();
			if
			:: promised[OTHER(p)] > promised[p] -> step_down(p)
			:: else ->
				m_session = next_session[p];
				if
				:: WIRE > 0 -> next_session[p] = next_session[p] + 1
				:: else
				fi;
				if
				:: promised[OTHER(p)] < promised[p] ->
					step_down(OTHER(p));
					promised[OTHER(p)] = promised[p]
				:: else
				fi;
				durable[OTHER(p)] = head[OTHER(p)];
				session[OTHER(p)] = m_session;
				find_common();
				own_epoch_start(p);
				reset_peer(p);
				peer_session[p] = m_session;
				phase[p] = CATCH_UP;
				next[p] = x + 1;
				target[p] = GREATER(committed[p], c);
				if
				:: durable[OTHER(p)] > x -> cut[p] = x
				:: else
				fi
			fi;
			after()
		}
	}
}

inline truncate(p) {
	atomic {
		primary[p] && cut[p] != NO_CUT && CONNECTED(p) ->
		d_step {
			before();
			x = cut[p];
			cut_log(OTHER(p), x);
			durable[OTHER(p)] = LESSER(durable[OTHER(p)], x);
			committed[OTHER(p)] = LESSER(committed[OTHER(p)], x);
			cut[p] = NO_CUT;
			after()
		}
	}
}

inline disconnect(p) {
	atomic {
		primary[p] && phase[p] != 0 && !CONNECTED(p) ->
		d_step {
			before();
			reset_peer(p);
			after()
		}
	}
}

/* -- Changes of the record (section 8) --------------------------------------------------------------- */

#define MAY_PROPOSE(p) (ACTING(p) && pending[p] == 0 && request == 0 && !news)

inline propose_join(p) {
	atomic {
		JOINS && MAY_PROPOSE(p) && (view[p] & BIT(OTHER(p))) == 0 && phase[p] == IN_SYNC && proven[p] >= head[p] ->
		d_step {
			before();
			request = view[p] | BIT(OTHER(p));
			newcomer = OTHER(p);
			pending[p] = request;
			after()
		}
	}
}

/* The last position that holds an acknowledged write. */
#define ACKED_AT(p, at)    (head[p] >= (at) && log[p].number[(at) - 1] != 0 && (acked & BIT(log[p].number[(at) - 1])) != 0)
/* Whether everything acknowledged so far is durable here: no entry beyond `durable` is acknowledged
 * or adopted. */
#define KEPT_AT(p, at)     (durable[p] >= (at) || !(ACKED_AT(p, at) || (head[p] >= (at) && log[p].epoch[(at) - 1] < promised[p])))
#define KEEPS_PROMISES(p)  (KEPT_AT(p, 1) && KEPT_AT(p, 2) && KEPT_AT(p, 3) && KEPT_AT(p, 4) && \
	KEPT_AT(p, 5) && KEPT_AT(p, 6) && KEPT_AT(p, 7))

/* One member stays; the set of what must keep the promises is this node alone, or smaller than before. */
inline propose_leave(p) {
	atomic {
		LEAVES && MAY_PROPOSE(p) && (view[p] & BIT(OTHER(p))) != 0 &&
		(phase[p] == 0 || phase[p] == NEEDS_REBUILD) && KEEPS_PROMISES(p) ->
		d_step {
			before();
			request = view[p] & (255 - BIT(OTHER(p)));
			newcomer = NOBODY;
			pending[p] = request;
			after()
		}
	}
}

inline land() {
	atomic {
		request != 0 ->
		d_step {
			before();
			record_isr = request;
			news = true;
			request = 0;
			newcomer = NOBODY;
			after()
		}
	}
}

inline lose_request() {
	atomic {
		LOST_REQUESTS && request != 0 ->
		d_step {
			before();
			request = 0;
			newcomer = NOBODY;
			after()
		}
	}
}

inline read_record(p) {
	atomic {
		ACTING(p) && news ->
		d_step {
			before();
			news = false;
			view[p] = record_isr;
			pending[p] = 0;
			to_commit(p);
			after()
		}
	}
}

inline withdraw(p) {
	atomic {
		ACTING(p) && pending[p] != 0 && !news ->
		d_step {
			before();
			request = 0;
			newcomer = NOBODY;
			pending[p] = 0;
			to_commit(p);
			after()
		}
	}
}

/* -- The authority (section 9) ------------------------------------------------------------------------ */

inline reset_reports() {
	for (i : 0 .. 1) {
		reported[i] = false;
		report_last[i] = 0;
		report_durable[i] = 0;
		report_whole[i] = false
	}
}

/* mint or mint_again: one of them is possible. */
inline mint() {
	atomic {
		record_epoch < EPOCHS ->
		d_step {
			before();
			record_epoch = record_epoch + 1;
			record_primary = NOBODY;
			reset_reports();
			request = 0;
			newcomer = NOBODY;
			news = false;
			lease[0] = false;
			lease[1] = false;
			after()
		}
	}
}

inline fence(n) {
	atomic {
		record_primary == NOBODY && !reported[n] && promised[n] <= record_epoch ->
		d_step {
			before();
			step_down(n);
			session[n] = 0;
			promised[n] = record_epoch;
			durable[n] = head[n];
			reported[n] = true;
			report_last[n] = (head[n] == 0 -> 0 : log[n].epoch[GREATER(head[n], 1) - 1]);
			report_durable[n] = head[n];
			report_whole[n] = whole[n];
			after()
		}
	}
}

#define ELIGIBLE(n)     (reported[n] && (record_isr & BIT(n)) != 0)
#define GREATER_THAN(n) (report_last[OTHER(n)] > report_last[n] || \
	(report_last[OTHER(n)] == report_last[n] && report_durable[OTHER(n)] > report_durable[n]))
/* A member that was heard and holds what it received, or that need not be heard. */
#define HEARD(n)        ((record_isr & BIT(n)) == 0 || (reported[n] && report_whole[n]) || \
	((n) == record_last && (record_isr & (255 - BIT(n))) != 0))

inline promote(n) {
	atomic {
		record_primary == NOBODY && !primary[n] && head[n] < LOG_MAX && promised[n] == record_epoch &&
		ELIGIBLE(n) && !(ELIGIBLE(OTHER(n)) && GREATER_THAN(n)) ->
		d_step {
			before();
			past_reported = !(HEARD(0) && HEARD(1));
			writes_after(n, 0);
			excused = excused & (255 - x);
			if
			:: past_reported -> excused = excused | (acked & (255 - flushed) & (255 - x))
			:: else
			fi;
			record_primary = n;
			record_last = n;
			news = false;
			reset_reports();
			primary[n] = true;
			lease[n] = true;
			next_session[n] = 1;
			view[n] = record_isr;
			log[n].epoch[head[n]] = promised[n];
			log[n].number[head[n]] = 0;
			head[n] = head[n] + 1;
			after()
		}
	}
}

/* -- Faults (section 10) -------------------------------------------------------------------------------- */

inline crash(n) {
	atomic {
		(CRASHES & BIT(n)) != 0 ->
		d_step {
			before();
			step_down(n);
			cut_log(n, durable[n]);
			committed[n] = 0;
			session[n] = 0;
			whole[n] = false;
			after()
		}
	}
}

/* -- The beginning --------------------------------------------------------------------------------------- */

inline first_state() {
	d_step {
		record_epoch = 1;
		record_isr = ISR_AT_FIRST;
		newcomer = NOBODY;
		for (i : 0 .. 1) {
			whole[i] = true;
			cut[i] = NO_CUT;
			if
			:: (ISR_AT_FIRST & BIT(i)) != 0 ->
				log[i].epoch[0] = 1;
				head[i] = 1;
				durable[i] = 1;
				committed[i] = 1;
				promised[i] = 1;
				session[i] = i
			:: else
			fi
		}
		primary[0] = true;
		lease[0] = true;
		view[0] = ISR_AT_FIRST;
		next_session[0] = (WIRE > 0 -> 2 : 1);
		if
		:: (ISR_AT_FIRST & 2) != 0 ->
			phase[0] = IN_SYNC;
			peer_session[0] = 1;
			received[0] = 1;
			proven[0] = 1;
			next[0] = 2
		:: else
		fi;
		past.epoch[0] = 1;
		past_committed = 1
	}
}
