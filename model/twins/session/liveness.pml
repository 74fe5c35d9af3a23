/* What must happen in the end, judged by SPIN under weak fairness (pan -a -f -N name).
 *
 * Each step that a reachable replica and a living primary take of themselves is a process of its
 * own, so that fairness is fairness to each of them: what stays possible is done. What may happen,
 * but need not, is in `whatever`; what goes wrong is in `misfortune`, and ends when `calm` begins.
 */

bool calm;

active proctype authority() {
	choose_scene();
	do
	:: assign_first()
	:: assign_next()
	od
}

active proctype whatever() {
	do
	:: assign_again()
	:: acknowledge()
	:: progress()
	:: transfer_progress()
	od
}

/* Nothing goes wrong any more, and nobody interferes with a session. */
active proctype misfortune() provided (!calm) {
	do
	KINDS(supersede)
	:: pin_failed(RETENTION)
	:: pin_failed(BASE)
	:: pin_lost(RETENTION)
	:: pin_lost(BASE)
	:: truncation_refused()
	CAUSES
	od
}

active proctype calming() { calm = true }

active proctype appending() { do :: append() od }
active proctype attaching() { do KINDS(attach) od }
active proctype connecting() { do :: connect() od }
active proctype greeting() { do :: hello() od }
active proctype shaking_hands() { do :: handshake() od }
active proctype pinning_log() { do :: pinned(RETENTION) od }
active proctype pinning_base() { do :: pinned(BASE) od }
active proctype truncating() { do :: truncated() od }
active proctype selecting() { do :: select_source(true) od }
active proctype beginning() { do CHUNKS od }
active proctype installing() { do :: base_installed() od }
active proctype completing() { do :: complete() od }

/* A replica that is reachable proves more with some barrier, until it proved the goal. */
active proctype answering() {
	do
	:: atomic {
		STREAMS && UNHINDERED && AT_LEAST <= GOAL && (acked == NONE || acked < GOAL) ->
		least = (acked == NONE -> AT_LEAST : acked + 1);
		most = GOAL;
		any_of(chosen, least, most);
		take_progress(chosen)
	}
	od
}

/* And some chunk arrives, until all are there. */
active proctype transferring() {
	do
	:: atomic {
		phase == TRANSFER && chunks_done < chunks_total ->
		least = chunks_done + 1;
		most = chunks_total;
		any_of(chosen, least, most);
		take_chunks(chosen)
	}
	od
}

#define IN_SESSION (session != 0 && phase != COMPLETED)

/* Sessions are finite in number here: one that is under way, or one to find out what the replica
 * needs and another to rebuild it, as far as that is not known yet. */
#define ENOUGH ((session != 0 && (kind == REBUILD || phase == CATCH_UP || phase == COMPLETED)) \
	|| ((session != 0 || status == NEEDS_REBUILD) && next_session <= SESSIONS) \
	|| next_session < SESSIONS)

/* Every session completes or ends. */
ltl T4 { [] (IN_SESSION -> <> !IN_SESSION) }

/* Once faults stop, a reachable replica becomes in_sync, and stays so. */
ltl A4 { [] ((calm && present && serving && ENOUGH) -> <> [] (status == IN_SYNC)) }

/* Not so, and here to show that the search finds what is not so: faults may use every session up. */
ltl A4_whatever_was_lost { [] ((calm && present && serving) -> <> (status == IN_SYNC)) }
