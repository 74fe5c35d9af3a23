/* Every action in one process: the checker stores the states of the prose and one more, before
 * the scene is chosen; its steps are the transitions of the prose and one to each scene.
 */

active proctype everything() {
	choose_scene();
	do
	:: tick()
	:: append()
	:: commit()
	:: write_back()
	:: reclaim()
	:: assign_first()
	:: assign_next()
	:: assign_again()
	:: fence()
	:: stop()
	KINDS(attach)
	KINDS(supersede)
	:: connect()
	:: hello()
	:: handshake()
	:: pinned(RETENTION)
	:: pinned(BASE)
	:: pin_failed(RETENTION)
	:: pin_failed(BASE)
	:: pin_lost(RETENTION)
	:: pin_lost(BASE)
	:: truncated()
	:: truncation_refused()
	:: progress()
	:: complete()
	:: acknowledge()
	:: select_source(true)
	:: select_source(FALSE_REPORTS)
	CHUNKS
	:: transfer_progress()
	:: base_installed()
	:: check_budget(0)
	:: check_budget(BUDGET_OF_BYTES + 1)
	CAUSES
	od
}
