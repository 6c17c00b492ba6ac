"""Chart and tables of the teachers compared: every number where it belongs, long names and gaps included."""

from xml.etree import ElementTree

from rich.console import Console

from expclip_cache.reporting import teachers_to_terminal
from expclip_cache.reporting.charts.teacher_rows import TeacherMark, teacher_rows
from expclip_cache.reporting.page.teacher_section import teacher_chart
from expclip_cache.reporting.teacher_content import teachers_of
from expclip_cache.teachers import TeacherResults, TeacherRow, TestSetRow

SETS = ("raf-db", "affectnet-7", "")
STATES = (("t5", "all", 1.0, 52.0, 90.0), ("qwen", "last", 0.5, 58.0, 97.0), ("qwen", "text", 2 / 3, 61.0, 96.0))


def teacher_row(teacher: str, read: str, layer: float, uar: float, agreement: float | None) -> TeacherRow:
    return TeacherRow(
        backbone="b32", teacher=teacher, model="m", instruction="Look & say.", read=read, layer=layer,
        prompts="reference", prompt_type=5, relative_lambda="0.1", rows=900, held_out=1000, agreement=agreement,
        balance=99.0, mrr=20.0 + uar, r2=-3.25, constant=100.0, rank=312.5, uar=uar, uar_low=uar - 1,
        uar_high=uar + 1, confidence=95.0, made_from="x",
    )  # fmt: skip


def set_row(test_set: str, teacher: str, read: str, layer: float | None, uar: float) -> TestSetRow:
    return TestSetRow(
        backbone="b32", teacher=teacher, read=read, layer=layer, test_set=test_set, part="whole", items=100, uar=uar,
        uar_low=uar - 1, uar_high=uar + 1, war=uar, war_low=uar - 1, war_high=uar + 1, made_from="x",
    )  # fmt: skip


def results(states=STATES, sets=SETS) -> TeacherResults:
    tests = [set_row(name, "", "", None, 40.0 + k) for k, name in enumerate(sets)]
    for teacher, read, layer, uar, _ in states:
        tests += [set_row(name, teacher, read, layer, uar + k) for k, name in enumerate(sets[:-1])]
        tests.append(set_row(sets[-1], teacher, read, layer, uar))
    return TeacherResults(tuple(teacher_row(*state) for state in states), tuple(tests))


def shown(found: TeacherResults) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(teachers_to_terminal(found))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_rows_are_named_by_state_where_a_teacher_has_several_and_the_best_is_first():
    (one,) = teachers_of(results())
    assert list(one.rows) == ["qwen text@0.667", "qwen last@0.5", "t5"]
    assert one.chosen == "qwen last@0.5"
    assert one.test_sets == ("raf-db", "affectnet-7", "mean")
    assert (one.clip.uar, one.best.uar) == (42.0, 61.0)


def test_the_terminal_has_a_line_for_each_row_and_one_for_the_correlations():
    lines = [line.split() for line in shown(results())]
    assert ["qwen", "last@0.5", "*", "58.0", "97.0", "99.0", "78.0", "-3.2", "100.0", "312.5"] in lines
    assert ["correlation", "+0.50", "+1.00"] in lines
    assert ["plain", "CLIP", "42.0"] in lines
    assert ["t5", "52.0", "53.0", "52.0"] in lines
    assert ["[51.0,", "53.0]", "[52.0,", "54.0]", "[51.0,", "53.0]"] in lines


def test_one_test_set_is_one_column():
    lines = [line.split() for line in shown(results(sets=("raf-db",)))]
    assert ["teacher", "raf-db"] in lines
    assert "mean" not in {word for line in lines for word in line if line[:1] == ["teacher"]}


def test_the_chart_has_every_row_with_its_interval_and_a_ring_around_the_chosen_one():
    (one,) = teachers_of(results())
    svg = ElementTree.fromstring(teacher_chart(one))
    dots = list(svg.iter("circle"))
    assert [item.get("class") for item in dots].count("expclip") == 3
    assert [item.get("class") for item in dots].count("head") == 6
    (ring,) = [item for item in dots if item.get("class") == "ring"]
    second = [item for item in dots if item.get("class") == "expclip"][1]
    assert (ring.get("cx"), ring.get("cy")) == (second.get("cx"), second.get("cy"))
    assert len([item for item in svg.iter("path") if item.get("class") == "whisker"]) == 3
    label = svg.get("aria-label", "")
    assert "qwen last@0.5: 58.0, interval 57.0 to 59.0, agreement 97.0 (chosen); t5: 52.0" in label
    assert label.endswith("plain CLIP: 42.0")


def test_long_names_and_rows_without_agreement_fit():
    long = "a-teacher-with-a-rather-long-name-of-its-own text@0.5"
    svg = ElementTree.fromstring(teacher_rows([TeacherMark(long, 50.0, 50.0, 50.0, None, False, ())], 50.0))
    texts = [item.text or "" for item in svg.iter("text")]
    assert any(text.endswith("…") for text in texts)
    assert "nan" not in ElementTree.tostring(svg, encoding="unicode")
    assert long in svg.get("aria-label", "")
    lines = shown(results([("t5", "all", 1.0, 52.0, None), (long.split()[0], "all", 1.0, 50.0, None)]))
    assert any("agreement needs several prompts" in line for line in lines)
