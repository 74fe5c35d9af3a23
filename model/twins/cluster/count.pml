/* Every action in one process: the checker stores the states of the prose and one more, before the
 * first; its steps are the transitions of the prose and one, to the first.
 */

#define BOTH(action) :: action(0) :: action(1)

active proctype everything() {
	first_state();
	do
	BOTH(write)
	BOTH(sync)
	BOTH(ship)
	BOTH(barrier)
	BOTH(send_append)
	BOTH(send_barrier)
	BOTH(deliver)
	BOTH(deliver_twin)
	BOTH(drop)
	BOTH(handshake)
	BOTH(truncate)
	BOTH(disconnect)
	BOTH(propose_join)
	BOTH(propose_leave)
	:: land()
	:: lose_request()
	BOTH(read_record)
	BOTH(withdraw)
	:: mint()
	BOTH(fence)
	BOTH(promote)
	BOTH(crash)
	od
}
