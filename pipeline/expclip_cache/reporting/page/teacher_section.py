"""The chart of the page's section on teachers."""

from markupsafe import Markup

from expclip_cache.reporting.charts.teacher_rows import TeacherMark, teacher_rows
from expclip_cache.reporting.teacher_content import BackboneTeachers


def teacher_chart(one: BackboneTeachers) -> Markup:
    """All rows of a backbone."""
    marks = [
        TeacherMark(
            name=name,
            uar=row.uar,
            low=row.uar_low,
            high=row.uar_high,
            agreement=row.agreement,
            chosen=name == one.chosen,
            by_set=[found.uar for found in one.scores[name][:-1]],
        )
        for name, row in one.rows.items()
    ]
    return Markup(teacher_rows(marks, one.clip.uar))
