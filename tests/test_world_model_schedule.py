"""In which updates the world-model term does what."""

from paw_bench.world_model.schedule import part_in_update


def test_every_update_is_joint_unless_told_otherwise():
    assert {part_in_update(update, every=1, separate=False) for update in range(1, 9)} == {"joint"}


def test_every_nth_update_has_the_term_and_the_others_have_none():
    parts = [part_in_update(update, every=3, separate=False) for update in range(1, 8)]
    assert parts == ["none", "none", "joint", "none", "none", "joint", "none"]


def test_a_separate_term_is_never_part_of_the_rl_loss():
    parts = [part_in_update(update, every=2, separate=True) for update in range(1, 5)]
    assert parts == ["none", "separate", "none", "separate"]
