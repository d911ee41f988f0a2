"""Pictures run policies; a failing one shows expected and actual under each other. Design: the catalogue."""

from typing import Any

import pytest

from routilux import all_slots_ready_policy, batch_size_policy, custom_policy, immediate_policy, time_interval_policy
from routilux.testing import Picture, PictureError, check_picture, pictures_in, run_picture


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        (immediate_policy(), "in  -a-(bc)-|\nout -[a]-[bc]-|"),
        (immediate_policy(), "in  -a-(b|)\nout -[a]-([b]|)"),
        (batch_size_policy(2), "in  ab-c-|\nout -[ab]---|\nleft c"),
        (all_slots_ready_policy(), "x   ab---|\ny   --1-2|\nout --[a1]-[b2]|"),
        (time_interval_policy(3), "in  abc----|\nout [a]--[bc]---|"),
        (time_interval_policy(0.5), "in  (ab)-|\nout [ab]-|"),
        (custom_policy(lambda slots, job: False), "in   a---|\ncall --!\nout  --[a]-|"),
    ],
)
def test_a_true_picture_passes(policy: Any, picture: Any) -> None:
    check_picture(policy, picture)


def test_slots_close_each_at_its_own_end() -> None:
    check_picture(batch_size_policy(2, at_end="fire"), "x   a|\ny   --b---|\nout ------([ab]|)")


def test_a_picture_without_an_end_does_not_end() -> None:
    check_picture(immediate_policy(), "in  -a-\nout -[a]-")


def test_letters_stand_for_items() -> None:
    check_picture(immediate_policy(), "in  -a-|\nout -[a]-|", items={"a": {"price": 3}})


def test_what_happens_between_two_columns_is_shown_with_its_time() -> None:
    played = run_picture(time_interval_policy(1.5), "in  ab---|\nout -")
    assert played.rows["out"] == "[a][b]@1.5s---|"


def test_drops_and_leftovers_can_be_drawn() -> None:
    def policy(slots: Any, job_state: Any) -> Any:
        slots["in"].drop([point for point in slots["in"].peek_points() if point.data == "x"], "unwanted")
        return False, {}, None

    check_picture(policy, "in   -axb-|\nout  -----|\ndrop --x\nleft ab")


def test_a_false_picture_shows_expected_and_actual_under_each_other() -> None:
    with pytest.raises(PictureError) as caught:
        check_picture(batch_size_policy(2), "in  -a-b--|\nout -[a]-[b]--|\nleft -")
    assert str(caught.value).splitlines() == [
        "batch_size_policy(2) does not do what its picture shows (one character is one second)",
        "  in            -a-b--|",
        "  out  expected -[a]-[b]--|",
        "  out  actual   ---[ab]--|   <-- differs",
        "  left expected -",
        "  left actual   ",
    ]


@pytest.mark.parametrize(
    "text", ["in -a-|", "in -a-|\nin -b-|\nout -", "in -[a\nout -", "in (a-b)\nout -", "in -a)|\nout -"]
)
def test_an_unreadable_picture_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"picture|row"):
        Picture.parse(text)


def test_pictures_are_found_in_docstrings() -> None:
    text = """Do it.

    batch_size_policy(2)
    activates   now
    picture     in  ab|          one character = 1 s
                out -[ab]|

    More.
    """
    assert list(pictures_in(text)) == [("batch_size_policy(2)", "in  ab|          one character = 1 s\nout -[ab]|")]
