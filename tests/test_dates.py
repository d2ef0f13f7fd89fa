"""Dates are shifted in the form in which they were written."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_openmed.deid.dates import find_year, shift_dates

FORMS = (
    *("%m/%d/%Y", "%Y-%m-%d", "%m-%d-%Y", "%d.%m.%Y", "%Y/%m/%d", "%B %d, %Y", "%b %d, %Y"),
    *("%d %B %Y", "%d-%b-%Y", "%d %b, %Y", "%m/%d/%y"),
)
DATES = st.dates(date(1970, 6, 1), date(2060, 6, 1))  # %y is read as 1969 to 2068


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3/4/21", "12/24/20"),
        ("March 4th", "December 24th"),
        ("MARCH 4, 2021", "DECEMBER 24, 2020"),
        ("the 4th of March, 2021", "the 24th of December, 2020"),
        ("Sept. 3rd, 1999", "Jun. 25th, 1999"),
        ("May 3rd", "February 22nd"),
        ("Mar 2021", "Jan 2021"),
        ("March '21", "January '21"),
        ("12/2016", "10/2016"),
        ("10/25", "08/16"),
        ("1961", "1961"),
        ("13/02/2020", "05/12/2019"),
        ("Tuesday, March 4 at 14:30", "Tuesday, December 24 at 14:30"),
        ("Sat., the 4th of March, 2021 at 9:15 pm", "Sat., the 24th of December, 2020 at 9:15 pm"),
        ("2021-03-04T10:00:00Z", "2020-12-24T10:00:00Z"),
        ("12/03/2016 - 12/09/2016", "09/24/2016 - 09/30/2016"),
        ("March 4th and Mar 2021", "December 24th and Jan 2021"),
        ("20210304", "20201224"),
        ("202103041015+0100", "202012241015+0100"),
        ("2021-03-04T10:00:00.123+01:00", "2020-12-24T10:00:00.123+01:00"),
        ("Mar 8-12, 2021", "Dec 28, 2020-Jan 01, 2021"),
        ("8-12 March 2021", "28 December 2020-01 January 2021"),
    ],
)
def test_forms_stay(text: str, expected: str):
    assert shift_dates(text, -70) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "last week", "in March", "02/31/2020", "20211304", "0001-01-01"),
        *("14:30", "Christmas 2019", "Thanksgiving 2018", "the fifth of March 2020", "März 1950"),
        *("Easter Sunday 2018", "2020年3月"),
    ],
)
def test_what_is_not_understood_is_not_shifted(text: str):
    assert shift_dates(text, -70) is None


def read(text: str, form: str) -> date:
    try:
        return datetime.strptime(text, form).date()
    except ValueError:  # "May" is short and long: what comes of it is long
        return datetime.strptime(text, form.replace("%b", "%B")).date()


def test_a_date_without_a_year_is_of_the_year_of_the_others():
    year = find_year(["03/05/2024", "May 2019", "2024", "Apr 2, 2024"])
    assert year == 2024
    # 28 days after 5 March, and both on a Tuesday: 2024 has a 29 February.
    assert shift_dates("March 5, 2024", -364, year) == "March 7, 2023"
    assert shift_dates("April 2nd", -364, year) == "April 4th"


def test_no_date_says_its_year():
    assert find_year(["April 2nd", "2024", "5/7"]) is None


@given(DATES, DATES, st.sampled_from(FORMS), st.sampled_from(FORMS), st.integers(-365, 365))
def test_intervals_stay(first: date, second: date, form: str, other: str, days: int):
    new = [
        read(str(shift_dates(day.strftime(f), days)), f)
        for day, f in ((first, form), (second, other))
    ]
    assert new == [first + timedelta(days), second + timedelta(days)]
    assert new[1] - new[0] == second - first


@given(st.text("0123456789/-. marchMAY,'th", max_size=30), st.integers(-365, -1))
def test_what_any_text_becomes_is_dates_again(text: str, days: int):
    shifted = shift_dates(text, days)
    assert shifted is None or shift_dates(shifted, 0) is not None
