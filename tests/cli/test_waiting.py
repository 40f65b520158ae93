"""What the environment says to OpenMP before torch is loaded."""

from lmkit.cli.waiting import wait_politely


def test_threads_spin_little_unless_the_user_says_otherwise() -> None:
    plain: dict[str, str] = {}
    wait_politely(plain)
    assert int(plain["GOMP_SPINCOUNT"]) > 0
    for told in ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}):
        environ = dict(told)
        wait_politely(environ)
        assert environ == told
