//! Working hours of a line: on each day of the week from one minute to another, by a fixed distance from UTC. Pure.
//!
//! Summer time is not known here: who observes it writes another distance, which is one number to change. A day has one
//! stretch, so a shift from evening until morning can't be written.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::clock::UnixMillis;

/// The farthest that anybody's clock is from UTC, in minutes.
const OFFSET_MAX: i32 = 840;
const DAY_MINUTES: u16 = 1440;
const MINUTE_MILLIS: i64 = 60_000;
/// 1970 began on a Thursday, the fourth day from Monday.
const FIRST_WEEKDAY: i64 = 3;

/// When a line is staffed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Invariant: at most [`OFFSET_MAX`] from 0; `new` keeps it.
    offset_minutes: i32,
    /// Monday first. Invariant: opening < closing ≤ 1440; `new` keeps it.
    days: [Option<(u16, u16)>; 7],
}

/// Why something is no working hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHours {
    /// Nobody's clock is so many minutes from UTC.
    Offset(i64),
    /// That day, 0 for Monday, does not open before it closes, or closes after its end.
    Day(usize),
    /// The JSON has another shape than [`Hours::to_json`] writes.
    Shape,
}

impl fmt::Display for BadHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(minutes) => {
                write!(f, "`offset_minutes` is {minutes}; it goes from -{OFFSET_MAX} to {OFFSET_MAX}")
            }
            Self::Day(day) => write!(
                f,
                "day {} of the week must open before it closes, both as minutes of the day up to {DAY_MINUTES}",
                day + 1
            ),
            Self::Shape => f.write_str(
                "working hours are `offset_minutes` and seven `days` from Monday on, each `[opening, closing]` or null",
            ),
        }
    }
}

impl std::error::Error for BadHours {}

impl Hours {
    /// Hours by a clock that is `offset_minutes` ahead of UTC; `days` from Monday on, each from its opening to its
    /// closing in minutes of the day, `None` for a day off.
    pub fn new(offset_minutes: i32, days: [Option<(u16, u16)>; 7]) -> Result<Self, BadHours> {
        if !(-OFFSET_MAX..=OFFSET_MAX).contains(&offset_minutes) {
            return Err(BadHours::Offset(offset_minutes.into()));
        }
        let wrong = |day: &Option<(u16, u16)>| day.is_some_and(|(open, close)| open >= close || close > DAY_MINUTES);
        match days.iter().position(wrong) {
            Some(day) => Err(BadHours::Day(day)),
            None => Ok(Self { offset_minutes, days }),
        }
    }

    /// Minutes ahead of UTC.
    pub fn offset_minutes(&self) -> i32 {
        self.offset_minutes
    }

    /// Opening and closing from Monday on, minutes of the day.
    pub fn days(&self) -> &[Option<(u16, u16)>; 7] {
        &self.days
    }

    /// Whether the line is staffed at that moment; the minute of opening is, that of closing is not.
    pub fn is_open(&self, at: UnixMillis) -> bool {
        let local = at.0.div_euclid(MINUTE_MILLIS) + i64::from(self.offset_minutes);
        let day_minutes = i64::from(DAY_MINUTES);
        let weekday = (local.div_euclid(day_minutes) + FIRST_WEEKDAY).rem_euclid(7);
        let minute = local.rem_euclid(day_minutes);
        let today = usize::try_from(weekday).ok().and_then(|weekday| self.days.get(weekday).copied().flatten());
        today.is_some_and(|(open, close)| (i64::from(open)..i64::from(close)).contains(&minute))
    }

    /// As it is stored and shown: `{"offset_minutes":180,"days":[[540,1080],null,…]}`.
    pub fn to_json(&self) -> Json {
        let days = self.days.map(|day| day.map_or(Json::Null, |(open, close)| json!([open, close])));
        json!({"offset_minutes": self.offset_minutes, "days": days})
    }

    /// Reads what [`Self::to_json`] writes; keys that it does not know are an error too, or a slip would open a line at
    /// the wrong time without a word.
    pub fn from_json(json: &Json) -> Result<Self, BadHours> {
        let object = json.as_object().ok_or(BadHours::Shape)?;
        if object.keys().any(|key| !matches!(key.as_str(), "offset_minutes" | "days")) {
            return Err(BadHours::Shape);
        }
        let offset = object.get("offset_minutes").and_then(Json::as_i64).ok_or(BadHours::Shape)?;
        let offset = i32::try_from(offset).map_err(|_| BadHours::Offset(offset))?;
        let listed =
            object.get("days").and_then(Json::as_array).filter(|days| days.len() == 7).ok_or(BadHours::Shape)?;
        let mut days = [None; 7];
        for (number, (day, listed)) in days.iter_mut().zip(listed).enumerate() {
            *day = read_day(number, listed)?;
        }
        Self::new(offset, days)
    }
}

fn read_day(number: usize, day: &Json) -> Result<Option<(u16, u16)>, BadHours> {
    if day.is_null() {
        return Ok(None);
    }
    let Some([open, close]) = day.as_array().map(Vec::as_slice) else { return Err(BadHours::Shape) };
    let minute = |value: &Json| {
        let minute = value.as_i64().ok_or(BadHours::Shape)?;
        u16::try_from(minute).map_err(|_| BadHours::Day(number))
    };
    Ok(Some((minute(open)?, minute(close)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONDAY: usize = 0;
    const SUNDAY: usize = 6;

    fn on(offset_minutes: i32, open: &[(usize, u16, u16)]) -> Hours {
        let mut days = [None; 7];
        for (day, from, to) in open {
            days[*day] = Some((*from, *to));
        }
        Hours::new(offset_minutes, days).unwrap()
    }

    fn at(utc: &str) -> UnixMillis {
        UnixMillis(utc.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    /// 2026-11-23 is a Monday.
    #[test]
    fn open_from_the_first_minute_to_the_one_before_the_last() {
        let office = on(180, &[(MONDAY, 540, 1080)]);
        let late = on(-480, &[(SUNDAY, 0, 1440)]);
        let ahead = on(840, &[(MONDAY, 0, 1)]);
        let never = on(0, &[]);
        for (hours, utc, want) in [
            (office, "2026-11-23T05:59:59.999Z", false),
            (office, "2026-11-23T06:00:00Z", true),
            (office, "2026-11-23T14:59:59.999Z", true),
            (office, "2026-11-23T15:00:00Z", false),
            (office, "2026-11-24T10:00:00Z", false),
            (office, "2026-11-30T10:00:00Z", true),
            // Monday in UTC, still Sunday there.
            (late, "2026-11-22T07:59:59Z", false),
            (late, "2026-11-22T08:00:00Z", true),
            (late, "2026-11-23T07:59:59Z", true),
            (late, "2026-11-23T08:00:00Z", false),
            // Sunday in UTC, Monday there.
            (ahead, "2026-11-22T09:59:59Z", false),
            (ahead, "2026-11-22T10:00:59Z", true),
            (ahead, "2026-11-22T10:01:00Z", false),
            (never, "2026-11-23T10:00:00Z", false),
            // Before 1970: 1969-12-29 was a Monday.
            (office, "1969-12-29T06:00:00Z", true),
            (office, "1969-12-29T05:59:59.999Z", false),
        ] {
            assert_eq!(hours.is_open(at(utc)), want, "{utc} {hours:?}");
        }
        for end in [i64::MIN, i64::MAX] {
            assert!(!never.is_open(UnixMillis(end)));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (offset, day, want) in [
            (0, (540, 540), Err(BadHours::Day(2))),
            (0, (540, 539), Err(BadHours::Day(2))),
            (0, (0, 1441), Err(BadHours::Day(2))),
            (841, (0, 1440), Err(BadHours::Offset(841))),
            (-841, (0, 1440), Err(BadHours::Offset(-841))),
            (i32::MIN, (0, 1440), Err(BadHours::Offset(i32::MIN.into()))),
        ] {
            let mut days = [None; 7];
            days[2] = Some(day);
            assert_eq!(Hours::new(offset, days), want, "{offset} {day:?}");
        }
    }

    #[test]
    fn json_of_another_shape_is_refused() {
        let with = |offset: Json, day: Json| json!({"offset_minutes": offset, "days": [day, null, null, null, null, null, null]});
        let hours = with(json!(-300), json!([0, 1440]));
        assert_eq!(Hours::from_json(&hours), Ok(on(-300, &[(MONDAY, 0, 1440)])));
        for (json, want) in [
            (json!(null), BadHours::Shape),
            (json!({"days": []}), BadHours::Shape),
            (json!({"offset_minutes": 0, "days": [null]}), BadHours::Shape),
            (json!({"offset_minutes": 0, "days": hours["days"], "day": 1}), BadHours::Shape),
            (with(json!("0"), json!(null)), BadHours::Shape),
            (with(json!(0.5), json!(null)), BadHours::Shape),
            (with(json!(0), json!([1])), BadHours::Shape),
            (with(json!(0), json!(["1", 2])), BadHours::Shape),
            (with(json!(0), json!([-1, 2])), BadHours::Day(0)),
            (with(json!(0), json!([1, 65_537])), BadHours::Day(0)),
            (with(json!(0), json!([2, 1])), BadHours::Day(0)),
            (with(json!(5_000_000_000_i64), json!(null)), BadHours::Offset(5_000_000_000)),
        ] {
            assert_eq!(Hours::from_json(&json), Err(want), "{json}");
        }
    }

    #[test]
    fn mistakes_are_said_in_words() {
        assert_eq!(BadHours::Offset(900).to_string(), "`offset_minutes` is 900; it goes from -840 to 840");
        assert!(BadHours::Day(0).to_string().starts_with("day 1 of the week must open"));
    }

    proptest! {
        #[test]
        fn json_is_read_back(
            offset in -OFFSET_MAX..=OFFSET_MAX,
            days in prop::array::uniform7(prop::option::of((0_u16..DAY_MINUTES).prop_flat_map(|open| {
                (Just(open), open + 1..=DAY_MINUTES)
            }))),
        ) {
            let hours = Hours::new(offset, days).unwrap();
            prop_assert_eq!(Hours::from_json(&hours.to_json()), Ok(hours));
        }
    }
}
