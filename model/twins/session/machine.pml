/* The recovery session, written in Promela from docs/session.md and docs/session-bounds.md alone.
 *
 * It shares nothing with the specification in Rust but that prose. The bounds of an instance stand
 * before this text (smallest.pml and its neighbours); what exhausts it stands after (count.pml,
 * liveness.pml). Every action is one atomic step whose guard comes first, so that the states that
 * the checker stores, and the steps between them, are those of the prose. It must be told to keep
 * what is only written and never read (spin -o2): a ghost is part of the state.
 */

#define NONE      255 /* an absent position */
#define UNBOUNDED 254 /* an extent bound beyond every entry */
#define LOG_MAX   5

mtype:kind   = { BOOTSTRAP, AFTER_FAULT, REASSIGN, REBUILD }
mtype:status = { DISCONNECTED, CONNECTED_TO, CATCHING_UP, IN_SYNC, DEGRADED, NEEDS_REBUILD, REBUILDING }
mtype:phase  = { INIT, CONNECTING, HANDSHAKE, CATCH_UP, SOURCE_SELECT, TRANSFER, TAIL_REPLAY, COMPLETED }
mtype:reason = { NO_VOLUME, UNTRUSTED_BASE, LOST_ACKNOWLEDGED, LINEAGE_EXHAUSTED, DIVERGENT_EXTENT,
                 GAP_BEYOND_RETENTION, RETENTION_LOST, TRUNCATION_UNSAFE, BUDGET_DURATION,
                 BUDGET_ENTRIES, BUDGET_STALL, BUDGET_BYTES, ORDERED }
mtype:source = { SNAPSHOT_TAIL, FULL_BASE }
mtype:why    = { TRUSTED_SNAPSHOT, UNREPLAYABLE_TAIL, UNTRUSTED_SNAPSHOT, NO_SNAPSHOT }
mtype:intent = { NOTHING, RECOVER_BOOTSTRAP, RECOVER_AFTER_FAULT, RECOVER_REASSIGN, ORDER_REBUILD }
mtype:ending = { BY_AUTHORITY, BY_FAULT, BY_ESCALATION }

/* A pin, a cut: where it stands. */
#define NOT_ASKED 0
#define REQUESTED 1
#define HELD      2
#define REQUIRED  1
#define CONFIRMED 2
#define RETENTION 0
#define BASE      1

typedef Log { byte length; byte epoch[LOG_MAX] }

/* -- State (docs/session-bounds.md, section 1) ------------------------------------------------ */

byte now_at;

bool known;
byte epoch;
byte revision;
bool serving;
byte next_session;
byte issued_epoch[4];
byte issued_version[4];
/* The recorded assignment. */
byte said_epoch;
byte said_revision;
bool said_named;
byte said_version;
bool said_member;
mtype:intent said_intent;

bool present;
byte version;
bool member;
mtype:status status;
mtype:reason reason;
byte acknowledged;

byte session; /* its id; 0: none, and then all that follows is 0 */
mtype:kind kind;
byte session_epoch;
byte session_version;
byte since;
byte last_progress;
mtype:phase phase;
byte from;
byte target;
byte cut;    /* NOT_ASKED, REQUIRED, CONFIRMED */
byte cut_to;
byte pin[2];
byte acked;
mtype:source source;
mtype:why why;
byte base_lsn;
byte goal;
byte chunks_total;
byte chunks_done;
byte achieved;

Log log;
byte forgotten;
byte committed;
byte checkpoint;
byte extent_bound;
byte retained_from;
bool snapshot;
byte snapshot_lsn;
bool snapshot_trusted;
byte snapshot_content;

Log ghost_log;
byte ghost_extent;
bool ghost_diverged;
byte ghost_target;
byte ghost_split;
bool ghost_pinned_for_transfer;
bool ghost_base_whole;
byte ghost_promised;
bool ghost_owes_rebuild;
byte ghost_asked[2];    /* a bit for each session id */
byte ghost_acquired[2];
bool ghost_released_twice;

/* -- What a call is asked for with, and scratch ------------------------------------------------- */

/* Chosen step by step within one action, and blank again when it is done. (Not hidden: the checker
 * takes choices back, and takes back only what is visible.) */
byte chosen;
byte least;
byte most;
bool disk; /* what a replica reports */
Log disk_log;
byte disk_extent;
byte disk_forgotten;
bool alike;
byte new_epoch; /* what an assignment says */
byte new_revision;
bool new_named;
byte new_version;
bool new_member;
mtype:intent new_intent;

/* Used within one indivisible step only. */
hidden byte i;
hidden byte x;
hidden byte common;
hidden byte known_here; /* from where the primary's lineage names epochs; NONE: nowhere */
hidden byte known_there;
hidden byte position;
hidden byte planned;

/* -- Words ------------------------------------------------------------------------------------ */

#define HEAD          (log.length)
#define LESSER(a, b)  ((a) < (b) -> (a) : (b))
#define GREATER(a, b) ((a) > (b) -> (a) : (b))
#define BIT(id)       (1 << (id))
#define SESSIONS_LEFT (known -> SESSIONS - (next_session - 1) : SESSIONS)
/* The volume's epoch is the last of the log iff its epoch-start entry is there. */
#define STARTED       (HEAD > 0 && log.epoch[HEAD - 1] == epoch)
#define AT_SOURCE(s)  ((ghost_acquired[s] & BIT(session)) != 0)

/* Any value of a range. (A step between the choice and what is indivisible: the language asks for it.) */
inline any_of(into, first, last) {
	into = first;
	do
	:: into < last -> into = into + 1
	:: break
	od;
	skip
}

inline blank_choice() {
	chosen = 0;
	least = 0;
	most = 0
}

inline epoch_start_to(into) {
	into = NONE;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i < HEAD && into == NONE && log.epoch[i] == epoch -> into = i + 1
		:: else
		fi
	}
}

/* The greater of `committed` and the epoch-start entry. */
inline right_target_to(into) {
	epoch_start_to(into);
	if
	:: into == NONE || into < committed -> into = committed
	:: else
	fi
}

/* The first position of which a lineage names the epoch. */
inline known_from_to(into, what, lost) {
	into = NONE;
	x = 0;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i < what.length ->
			if
			:: i == 0 -> x = 1
			:: i > 0 && what.epoch[i] != what.epoch[i - 1] -> x = x + 1
			:: else
			fi;
			if
			:: x > lost && into == NONE -> into = i + 1
			:: else
			fi
		:: else
		fi
	}
}

inline cut_log(what, to) {
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i >= to -> what.epoch[i] = 0
		:: else
		fi
	}
	if
	:: what.length > to -> what.length = to
	:: else
	fi
}

inline copy_log(into, what) {
	into.length = what.length;
	for (i : 0 .. LOG_MAX - 1) { into.epoch[i] = what.epoch[i] }
}

/* -- Pins, and how a session ends (sections 1 and 3) ------------------------------------------- */

inline request(s) {
	pin[s] = REQUESTED;
	ghost_asked[s] = ghost_asked[s] | BIT(session)
}

inline release(s) {
	if
	:: pin[s] != NOT_ASKED ->
		pin[s] = NOT_ASKED;
		if
		:: (ghost_asked[s] & BIT(session)) == 0 -> ghost_released_twice = true
		:: else
		fi;
		ghost_asked[s] = ghost_asked[s] & (255 - BIT(session));
		ghost_acquired[s] = ghost_acquired[s] & (255 - BIT(session))
	:: else
	fi
}

inline blank_ghost_of_session() {
	cut_log(ghost_log, 0);
	ghost_extent = 0;
	ghost_diverged = false;
	ghost_target = NONE;
	ghost_split = NONE;
	ghost_pinned_for_transfer = false;
	ghost_base_whole = false
}

inline blank_phase() {
	from = 0; target = 0; cut = NOT_ASKED; cut_to = 0; pin[0] = NOT_ASKED; pin[1] = NOT_ASKED;
	acked = NONE; source = 0; why = 0; base_lsn = 0; goal = 0; chunks_total = 0; chunks_done = 0;
	achieved = 0
}

inline blank_session() {
	session = 0; kind = 0; session_epoch = 0; session_version = 0; since = 0; last_progress = 0;
	phase = 0;
	blank_phase()
}

/* Ends the present session; `because` counts where `how` is BY_ESCALATION. */
inline end_session(how, because) {
	release(RETENTION);
	release(BASE);
	if
	:: kind == REBUILD && phase != COMPLETED -> status = NEEDS_REBUILD
	:: else ->
		if
		:: how == BY_AUTHORITY -> status = DISCONNECTED
		:: how == BY_FAULT -> status = DEGRADED
		:: else ->
			status = NEEDS_REBUILD;
			reason = because
		fi
	fi;
	blank_session();
	blank_ghost_of_session();
	if
	:: how == BY_ESCALATION -> ghost_owes_rebuild = true
	:: else
	fi
}

inline end_session_if_any(how) {
	if
	:: session != 0 -> end_session(how, 0)
	:: else
	fi
}

inline attach_session(k) {
	blank_session();
	session = next_session;
	next_session = next_session + 1;
	kind = k;
	session_epoch = epoch;
	session_version = version;
	issued_epoch[session - 1] = epoch;
	issued_version[session - 1] = version;
	since = now_at;
	last_progress = now_at;
	phase = INIT;
	if
	:: k == REBUILD ->
		status = REBUILDING;
		ghost_owes_rebuild = true;
		if
		:: reason == 0 -> reason = ORDERED
		:: else
		fi
	:: else -> status = CONNECTED_TO
	fi
}

/* -- The authority (section 4) ----------------------------------------------------------------- */

inline epoch_is_now(e) {
	if
	:: e != epoch ->
		end_session_if_any(BY_AUTHORITY);
		acknowledged = NONE;
		ghost_promised = 0;
		epoch = e
	:: else
	fi
}

inline forget_sender() {
	end_session_if_any(BY_AUTHORITY);
	present = false; version = 0; member = false; status = 0; reason = 0; acknowledged = NONE;
	ghost_promised = 0;
	ghost_owes_rebuild = false
}

inline carry_out_intent() {
	if
	:: new_intent == ORDER_REBUILD && !(session != 0 && kind == REBUILD && phase != COMPLETED) ->
		end_session_if_any(BY_AUTHORITY);
		attach_session(REBUILD)
	:: new_intent == RECOVER_BOOTSTRAP && session == 0 && status != NEEDS_REBUILD ->
		attach_session(BOOTSTRAP)
	:: new_intent == RECOVER_AFTER_FAULT && session == 0 && status != NEEDS_REBUILD ->
		attach_session(AFTER_FAULT)
	:: new_intent == RECOVER_REASSIGN && session == 0 && status != NEEDS_REBUILD ->
		attach_session(REASSIGN)
	:: else
	fi
}

inline blank_assignment() {
	new_epoch = 0; new_revision = 0; new_named = false; new_version = 0; new_member = false; new_intent = 0
}

/* Accepts the assignment new_*. */
inline accept_assignment() {
	if
	:: !known -> known = true; next_session = 1; epoch = new_epoch
	:: else -> epoch_is_now(new_epoch)
	fi;
	if
	:: !new_named && present -> forget_sender()
	:: new_named && !present ->
		present = true;
		version = new_version;
		status = DISCONNECTED
	:: new_named && present && new_version > version ->
		end_session_if_any(BY_AUTHORITY);
		version = new_version
	:: else
	fi;
	if
	:: new_named -> member = new_member
	:: else
	fi;
	revision = new_revision;
	serving = true;
	said_epoch = new_epoch;
	said_revision = new_revision;
	said_named = new_named;
	said_version = new_version;
	said_member = new_member;
	said_intent = new_intent;
	if
	:: new_named -> carry_out_intent()
	:: else
	fi;
	blank_assignment()
}

#define NOT_NAMED :: new_version == version || !present -> \
	new_named = false; new_version = 0; new_member = false; new_intent = 0
#define SHAPE(is_member, wants) :: (wants) == NOTHING || SESSIONS_LEFT > 0 -> \
	new_named = true; new_member = is_member; new_intent = wants

inline assign_first() {
	atomic {
		!known ->
		new_epoch = FIRST_EPOCH; new_revision = 1; new_version = 1;
		if SHAPES fi;
		d_step { accept_assignment() }
	}
}

inline assign_next() {
	atomic {
		known && revision < REVISIONS ->
		new_revision = revision + 1;
		if
		:: new_epoch = epoch
		:: epoch < EPOCHS -> new_epoch = epoch + 1
		fi;
		if
		:: new_version = (present -> version : 1)
		:: present && version < ENDPOINT_VERSIONS -> new_version = version + 1
		fi;
		if SHAPES fi;
		d_step { accept_assignment() }
	}
}

/* The recorded assignment again: unchanged. */
inline assign_again() {
	known && revision > 0
}

inline fence() {
	atomic {
		FENCE_AND_STOP && known && epoch < EPOCHS ->
		d_step {
			epoch_is_now(epoch + 1);
			revision = 0;
			serving = false
		}
	}
}

inline stop() {
	atomic {
		FENCE_AND_STOP && known && serving ->
		d_step {
			end_session_if_any(BY_AUTHORITY);
			serving = false
		}
	}
}

/* -- Calls that begin a session (section 5) ---------------------------------------------------- */

#define MAY_BEGIN(k) (known && present && serving && SESSIONS_LEFT > 0 && !((k) == REBUILD && member))

inline attach(k) {
	atomic {
		MAY_BEGIN(k) && session == 0 && !((k) != REBUILD && status == NEEDS_REBUILD) ->
		d_step { attach_session(k) }
	}
}

inline supersede(k) {
	atomic {
		MAY_BEGIN(k) && !((k) != REBUILD && (status == NEEDS_REBUILD || status == REBUILDING)) ->
		d_step {
			end_session_if_any(BY_AUTHORITY);
			attach_session(k)
		}
	}
}

/* -- Calls on a session (section 6) ------------------------------------------------------------ */

inline connect() {
	atomic { phase == INIT -> d_step { phase = CONNECTING; last_progress = now_at } }
}

inline hello() {
	atomic { phase == CONNECTING -> d_step { phase = HANDSHAKE; last_progress = now_at } }
}

/* What the primary must be before it judges anyone. A history that is true is well formed. */
#define PRIMARY_FIT (checkpoint <= extent_bound && checkpoint <= HEAD && committed <= HEAD \
	&& (retained_from == NONE || retained_from <= HEAD) && (!snapshot || snapshot_lsn <= HEAD) \
	&& STARTED && HEAD >= extent_bound)

/* Possible disks: SAME is an entry of the beginning that both logs share. */
#define SAME(at, e)    ((at) < HEAD && log.epoch[at] == (e))
#define APART(at, e)   ((e) < FIRST_EPOCH && !SAME(at, e))
#define PREFIX1(a)     SAME(0, a)
#define PREFIX2(a, b)  (SAME(0, a) && SAME(1, b))
#define POSSIBLE1(a)   (SAME(0, a) || APART(0, a))
#define POSSIBLE2(a, b) ((SAME(0, a) && SAME(1, b)) || (POSSIBLE1(a) && APART(1, b)))
#define LISTED(bound)  (kind != REBUILD && !ALL_DISKS)

#define DISK0(bound) :: LISTED(bound) && !(PREFIXES && (bound) == 0) -> \
	disk = true; disk_extent = bound
#define DISK1(a, bound) :: LISTED(bound) && POSSIBLE1(a) && !(PREFIXES && (bound) == 0 && PREFIX1(a)) -> \
	disk = true; disk_log.length = 1; disk_log.epoch[0] = a; disk_extent = bound
#define DISK2(a, b, bound) :: LISTED(bound) && POSSIBLE2(a, b) && !(PREFIXES && (bound) == 0 && PREFIX2(a, b)) -> \
	disk = true; disk_log.length = 2; disk_log.epoch[0] = a; disk_log.epoch[1] = b; disk_extent = bound

inline blank_disk() {
	disk = false;
	disk_extent = 0;
	disk_forgotten = 0;
	alike = false;
	cut_log(disk_log, 0);
	blank_choice()
}

#define LAST_OF_DISK (disk_log.length > 0 -> disk_log.epoch[disk_log.length - 1] : 1)
#define CAN_GROW(e)  (disk_log.length < LOG && (e) <= EPOCHS && (e) >= LAST_OF_DISK \
	&& ((alike && SAME(disk_log.length, e)) || APART(disk_log.length, e)))

inline grow_disk(e) {
	d_step {
		alike = alike && SAME(disk_log.length, e);
		disk_log.epoch[disk_log.length] = e;
		disk_log.length = disk_log.length + 1
	}
}

/* Any log that is possible, any extent. */
inline choose_any_disk() {
	disk = true;
	alike = true;
	do
	:: CAN_GROW(1) -> grow_disk(1)
	:: CAN_GROW(2) -> grow_disk(2)
	:: CAN_GROW(3) -> grow_disk(3)
	:: break
	od;
	if
	:: any_of(disk_extent, 0, disk_log.length)
	:: disk_extent = UNBOUNDED
	:: disk_log.length > 1 && disk_log.epoch[0] != LAST_OF_DISK -> disk_extent = 0; disk_forgotten = 1
	fi
}

/* The last position up to which both logs hold the same entries; NONE: it cannot be found. */
inline find_common() {
	known_from_to(known_here, log, forgotten);
	known_from_to(known_there, disk_log, disk_forgotten);
	common = NONE;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i < disk_log.length && i < HEAD && known_here != NONE && known_there != NONE &&
		   i + 1 >= known_here && i + 1 >= known_there && log.epoch[i] == disk_log.epoch[i] ->
			common = i + 1
		:: else
		fi
	}
	if
	:: common == NONE && (disk_log.length == 0 || (known_here == 1 && known_there == 1)) -> common = 0
	:: else
	fi
}

inline ghost_looks_at_disk() {
	copy_log(ghost_log, disk_log);
	ghost_extent = disk_extent;
	ghost_diverged = disk_log.length > HEAD;
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i < disk_log.length && i < HEAD && log.epoch[i] != disk_log.epoch[i] -> ghost_diverged = true
		:: else
		fi
	}
	right_target_to(ghost_target)
}

/* Section 7, row by row. */
inline classify() {
	find_common();
	right_target_to(planned);
	position = LESSER(disk_log.length, common);
	if
	:: !disk -> end_session(BY_ESCALATION, NO_VOLUME)
	:: else ->
	if
	:: disk_log.length < disk_extent -> end_session(BY_ESCALATION, UNTRUSTED_BASE)
	:: else ->
	if
	:: acknowledged != NONE && disk_log.length < acknowledged ->
		end_session(BY_ESCALATION, LOST_ACKNOWLEDGED)
	:: else ->
	if
	:: common == NONE -> end_session(BY_ESCALATION, LINEAGE_EXHAUSTED)
	:: else ->
	if
	:: disk_log.length > common && disk_extent > common ->
		end_session(BY_ESCALATION, DIVERGENT_EXTENT)
	:: else ->
	if
	:: position < HEAD && (retained_from == NONE || retained_from > position) ->
		end_session(BY_ESCALATION, GAP_BEYOND_RETENTION)
	:: else ->
	if
	:: planned > position && planned - position > BUDGET_OF_ENTRIES ->
		end_session(BY_ESCALATION, BUDGET_ENTRIES)
	:: else ->
		phase = CATCH_UP;
		status = CATCHING_UP;
		from = position;
		target = planned;
		if
		:: disk_log.length > common -> cut = REQUIRED; cut_to = common
		:: else
		fi;
		if
		:: from < target -> request(RETENTION)
		:: else
		fi
	fi fi fi fi fi fi fi
}

inline handshake() {
	atomic {
		phase == HANDSHAKE && PRIMARY_FIT ->
		if
		:: disk_extent = UNBOUNDED /* no volume there */
		:: FALSE_REPORTS -> disk_extent = UNBOUNDED /* once more, with a report that happens to be true */
		:: kind == REBUILD -> disk = true; disk_extent = 0
		:: kind != REBUILD && ALL_DISKS -> choose_any_disk()
		:: kind != REBUILD && !ALL_DISKS && PREFIXES ->
			disk = true;
			disk_extent = 0;
			any_of(chosen, 0, HEAD);
			d_step { copy_log(disk_log, log); cut_log(disk_log, chosen) }
		DISKS
		fi;
		d_step {
			since = now_at;
			last_progress = now_at;
			if
			:: kind == REBUILD -> phase = SOURCE_SELECT
			:: else ->
				ghost_looks_at_disk();
				classify()
			fi;
			blank_disk()
		}
	}
}

#define PINS_IN_PLAY (phase == CATCH_UP || phase == SOURCE_SELECT)
#define REPLAYS_FROM (phase == CATCH_UP -> from : base_lsn)

inline pinned(s) {
	atomic {
		PINS_IN_PLAY && pin[s] == REQUESTED ->
		d_step {
			ghost_acquired[s] = ghost_acquired[s] | BIT(session);
			if
			:: s == RETENTION && (retained_from == NONE || retained_from > REPLAYS_FROM) ->
				end_session(BY_ESCALATION, RETENTION_LOST)
			:: else ->
				pin[s] = HELD;
				last_progress = now_at
			fi
		}
	}
}

inline pin_failed(s) {
	atomic { PINS_IN_PLAY && pin[s] == REQUESTED -> d_step { end_session(BY_FAULT, 0) } }
}

inline pin_lost(s) {
	atomic {
		(PINS_IN_PLAY || phase == TRANSFER || phase == TAIL_REPLAY) && pin[s] == HELD ->
		d_step {
			ghost_acquired[s] = ghost_acquired[s] & (255 - BIT(session));
			end_session(BY_ESCALATION, RETENTION_LOST)
		}
	}
}

inline truncated() {
	atomic {
		phase == CATCH_UP && cut == REQUIRED ->
		d_step {
			cut = CONFIRMED;
			if
			:: acknowledged != NONE && acknowledged > cut_to -> acknowledged = cut_to
			:: else
			fi;
			last_progress = now_at;
			if
			:: ghost_extent > cut_to -> ghost_extent = UNBOUNDED
			:: else
			fi;
			cut_log(ghost_log, cut_to);
			ghost_promised = LESSER(ghost_promised, cut_to)
		}
	}
}

inline truncation_refused() {
	atomic {
		phase == CATCH_UP && cut == REQUIRED ->
		d_step { end_session(BY_ESCALATION, TRUNCATION_UNSAFE) }
	}
}

#define STREAMS    (phase == CATCH_UP || phase == TAIL_REPLAY)
#define GOAL       (phase == CATCH_UP -> target : goal)
#define UNHINDERED (cut != REQUIRED && pin[RETENTION] != REQUESTED && pin[BASE] != REQUESTED)
#define AT_LEAST   (acked != NONE -> acked : (phase == CATCH_UP -> LESSER(from, target) : base_lsn))

/* The replica proved `durable`: what it lacked of that came from the primary. */
inline proven(durable) {
	for (i : 0 .. LOG_MAX - 1) {
		if
		:: i >= ghost_log.length && i < durable && i < HEAD ->
			ghost_log.epoch[i] = log.epoch[i];
			ghost_log.length = i + 1
		:: else
		fi
	}
	ghost_promised = GREATER(ghost_promised, durable);
	acked = durable;
	if
	:: acknowledged == NONE || acknowledged < durable -> acknowledged = durable
	:: else
	fi
}

inline take_progress(durable) {
	d_step {
		if
		:: acked == NONE || durable > acked -> last_progress = now_at
		:: else
		fi;
		proven(durable);
		blank_choice()
	}
}

inline progress() {
	atomic {
		STREAMS && UNHINDERED && AT_LEAST <= GOAL ->
		least = AT_LEAST;
		most = GOAL;
		any_of(chosen, least, most);
		take_progress(chosen)
	}
}

inline complete() {
	atomic {
		STREAMS && UNHINDERED && acked != NONE && acked >= GOAL ->
		d_step {
			if
			:: kind == REBUILD -> ghost_owes_rebuild = false
			:: else
			fi;
			release(RETENTION);
			release(BASE);
			x = acked;
			blank_phase();
			phase = COMPLETED;
			achieved = x;
			acked = x;
			status = IN_SYNC;
			reason = 0
		}
	}
}

inline acknowledge() {
	atomic {
		phase == COMPLETED && acked <= HEAD ->
		any_of(chosen, acked, HEAD);
		d_step { proven(chosen); blank_choice() }
	}
}

inline select_source(possible) {
	atomic {
		possible && phase == SOURCE_SELECT && source == 0 && PRIMARY_FIT ->
		d_step {
			right_target_to(target);
			ghost_target = target;
			if
			:: snapshot && snapshot_content == snapshot_lsn && retained_from != NONE &&
			   retained_from <= snapshot_content -> ghost_split = snapshot_content
			:: else -> ghost_split = checkpoint
			fi;
			source = FULL_BASE;
			base_lsn = checkpoint;
			if
			:: !snapshot -> why = NO_SNAPSHOT
			:: snapshot && !snapshot_trusted -> why = UNTRUSTED_SNAPSHOT
			:: snapshot && snapshot_trusted && (retained_from == NONE || retained_from > snapshot_lsn) ->
				why = UNREPLAYABLE_TAIL
			:: else ->
				source = SNAPSHOT_TAIL;
				why = TRUSTED_SNAPSHOT;
				base_lsn = snapshot_lsn
			fi;
			request(RETENTION);
			request(BASE);
			last_progress = now_at
		}
	}
}

inline begin_transfer(n) {
	atomic {
		phase == SOURCE_SELECT && source != 0 && pin[RETENTION] == HELD && pin[BASE] == HELD ->
		d_step {
			phase = TRANSFER;
			chunks_total = n;
			chunks_done = 0;
			acknowledged = NONE;
			last_progress = now_at;
			ghost_pinned_for_transfer = AT_SOURCE(RETENTION) && AT_SOURCE(BASE);
			ghost_extent = UNBOUNDED;
			ghost_promised = 0
		}
	}
}

inline take_chunks(done) {
	d_step {
		if
		:: done > chunks_done -> last_progress = now_at
		:: else
		fi;
		chunks_done = done;
		blank_choice()
	}
}

inline transfer_progress() {
	atomic {
		phase == TRANSFER ->
		any_of(chosen, chunks_done, chunks_total);
		take_chunks(chosen)
	}
}

inline base_installed() {
	atomic {
		phase == TRANSFER && chunks_done == chunks_total ->
		d_step {
			x = (source == SNAPSHOT_TAIL -> base_lsn : GREATER(extent_bound, base_lsn));
			ghost_base_whole = ghost_pinned_for_transfer && AT_SOURCE(RETENTION) && AT_SOURCE(BASE) &&
				extent_bound <= HEAD;
			copy_log(ghost_log, log);
			cut_log(ghost_log, base_lsn);
			ghost_extent = x;
			goal = GREATER(target, x);
			release(BASE);
			phase = TAIL_REPLAY;
			chunks_total = 0;
			chunks_done = 0;
			acked = NONE;
			last_progress = now_at
		}
	}
}

inline check_budget(pinned_bytes) {
	atomic {
		TICKS > 0 && session != 0 && phase != COMPLETED ->
		d_step {
			if
			:: phase == INIT || phase == CONNECTING || phase == HANDSHAKE ->
				if
				:: now_at - last_progress > BUDGET_OF_STALL -> end_session(BY_FAULT, 0)
				:: else
				fi
			:: else ->
				if
				:: now_at - since > BUDGET_OF_DURATION -> end_session(BY_ESCALATION, BUDGET_DURATION)
				:: else ->
				if
				:: now_at - last_progress > BUDGET_OF_STALL -> end_session(BY_ESCALATION, BUDGET_STALL)
				:: else ->
				if
				:: (pinned_bytes) > BUDGET_OF_BYTES -> end_session(BY_ESCALATION, BUDGET_BYTES)
				:: else
				fi fi fi
			fi
		}
	}
}

inline fail() {
	atomic { session != 0 -> d_step { end_session(BY_FAULT, 0) } }
}

/* -- Moves of the surroundings (docs/session-bounds.md, section 2) ----------------------------- */

inline tick() {
	atomic { now_at < TICKS -> d_step { now_at = now_at + 1 } }
}

#define ROOM (STARTED -> LESSER(LOG, LOG_MAX - (EPOCHS - epoch)) : LOG_MAX)

inline append() {
	atomic {
		known && serving && HEAD < ROOM ->
		d_step {
			log.epoch[HEAD] = epoch;
			log.length = log.length + 1
		}
	}
}

inline commit() {
	atomic {
		MOVE_COMMIT && known && serving && STARTED && committed < HEAD -> d_step { committed = HEAD }
	}
}

inline write_back() {
	atomic {
		MOVE_WRITE_BACK && known && serving && extent_bound <= HEAD && checkpoint < committed ->
		d_step {
			checkpoint = committed;
			extent_bound = committed
		}
	}
}

#define PIN_FORBIDS (session != 0 && AT_SOURCE(RETENTION) \
	&& (phase == CATCH_UP || (phase == SOURCE_SELECT && source != 0) || phase == TRANSFER || phase == TAIL_REPLAY))
#define RECLAIMABLE (PIN_FORBIDS -> LESSER(checkpoint, REPLAYS_FROM) : checkpoint)

inline reclaim() {
	atomic {
		MOVE_RECLAIM && known && serving && retained_from != NONE && retained_from < RECLAIMABLE ->
		d_step { retained_from = RECLAIMABLE }
	}
}

/* -- The beginning ----------------------------------------------------------------------------- */

#define SCENE0(c, k) :: committed = c; checkpoint = k; extent_bound = k
#define SCENE1(a, c, k) SCENE0(c, k); log.length = 1; log.epoch[0] = a
#define SCENE2(a, b, c, k) SCENE1(a, c, k); log.length = 2; log.epoch[1] = b
#define SCENE3(a, b, e, c, k) SCENE2(a, b, c, k); log.length = 3; log.epoch[2] = e
#define SNAPSHOT(lsn, trusted, content) ; snapshot = true; snapshot_lsn = lsn; \
	snapshot_trusted = trusted; snapshot_content = content
#define RETAINED_FROM(lsn) ; retained_from = lsn
#define EXTENT_UP_TO(lsn)  ; extent_bound = lsn
#define FORGETTING(n)      ; forgotten = n

inline choose_scene() {
	atomic {
		acknowledged = NONE;
		acked = NONE;
		ghost_target = NONE;
		ghost_split = NONE;
		if SCENES fi
	}
}
