//! The sentences of `bench disk`, in both languages.

use super::place::Place;
use super::promise::{Disk, Limit, Promise};
use super::{CALLERS, Figures};
use crate::language::Language;

/// What the figures promise: the warning first when they promise nothing, and at most five sentences.
pub fn sentences(language: Language, place: &Place, figures: &Figures, promise: &Promise) -> Vec<String> {
    let told = match language {
        Language::En => [
            warning_en(place, figures, promise),
            beside_en(place),
            Some(rates_en(promise)),
            Some(limit_en(promise)),
            day_en(promise),
        ],
        Language::Ru => [
            warning_ru(place, figures, promise),
            beside_ru(place),
            Some(rates_ru(promise)),
            Some(limit_ru(promise)),
            day_ru(promise),
        ],
    };
    told.into_iter().flatten().collect()
}

fn many() -> usize {
    CALLERS.into_iter().max().unwrap_or_default()
}

fn warning_en(place: &Place, figures: &Figures, promise: &Promise) -> Option<String> {
    let name = place.file_system.unwrap_or_default();
    let (micros, millis) = (figures.raw.median.as_micros(), figures.raw.median.as_secs_f64() * 1e3);
    Some(match promise.disk {
        Disk::Sound => return None,
        Disk::Memory => format!(
            "`{}` lies in memory ({name}): these figures promise nothing, a loss of power takes every message.",
            place.folder.display()
        ),
        Disk::Network => format!(
            "`{}` lies on a network file system ({name}): these figures promise nothing, and SQLite's locks can't be relied \
             on there; choose a data_dir on a local disk.",
            place.folder.display()
        ),
        Disk::Program => format!(
            "`{}` lies on {name}: what a sync is worth there, only the program behind it knows, so these figures promise \
             nothing.",
            place.folder.display()
        ),
        Disk::Cached => format!(
            "A sync takes {micros} µs, faster than a disk writes: a cache answers, and unless it has a battery or capacitors \
             of its own, a loss of power takes messages that were accepted; a virtual machine's disk must not be set to \
             ignore syncs."
        ),
        Disk::Slow => format!(
            "A sync takes {millis:.1} ms: that is a spinning disk, a network disk or a busy one, and a local SSD would make \
             every answer faster."
        ),
    })
}

fn warning_ru(place: &Place, figures: &Figures, promise: &Promise) -> Option<String> {
    let name = place.file_system.unwrap_or_default();
    let (micros, millis) = (figures.raw.median.as_micros(), figures.raw.median.as_secs_f64() * 1e3);
    Some(match promise.disk {
        Disk::Sound => return None,
        Disk::Memory => format!(
            "`{}` находится в памяти ({name}): эти числа ничего не обещают, при потере питания пропадут все сообщения.",
            place.folder.display()
        ),
        Disk::Network => format!(
            "`{}` находится на сетевой файловой системе ({name}): эти числа ничего не обещают, и на блокировки SQLite там \
             нельзя положиться; выберите data_dir на локальном диске.",
            place.folder.display()
        ),
        Disk::Program => format!(
            "`{}` находится на {name}: чего там стоит синхронизация, знает только программа за ней, поэтому эти числа \
             ничего не обещают.",
            place.folder.display()
        ),
        Disk::Cached => format!(
            "Синхронизация занимает {micros} мкс, быстрее, чем пишет диск: отвечает кэш, и если у него нет своей батареи или \
             конденсаторов, при потере питания пропадут принятые сообщения; диск виртуальной машины не должен быть \
             настроен так, чтобы не замечать синхронизаций."
        ),
        Disk::Slow => format!(
            "Синхронизация занимает {} мс: это вращающийся диск, сетевой диск или занятый другой работой, а с локальным SSD \
             быстрее станет каждый ответ.",
            format!("{millis:.1}").replace('.', ",")
        ),
    })
}

fn beside_en(place: &Place) -> Option<String> {
    let words = "A server works in this data directory and shares the disk: the figures are what is left beside it.";
    place.is_served.then(|| words.to_owned())
}

fn beside_ru(place: &Place) -> Option<String> {
    let words =
        "В этом каталоге данных работает сервер и делит с нами диск: числа показывают, что остаётся рядом с ним.";
    place.is_served.then(|| words.to_owned())
}

fn rates_en(promise: &Promise) -> String {
    let (one, all, many) = (number(promise.one, ','), number(promise.many, ','), many());
    format!(
        "One connection that waits for each answer has up to {one} messages a second stored, {many} at once have {all}: the \
         more wait, the more share a sync."
    )
}

fn rates_ru(promise: &Promise) -> String {
    let (one, all, many) = (number(promise.one, ' '), number(promise.many, ' '), many());
    format!(
        "По одному соединению, которое ждёт каждого ответа, сохраняется до {one} сообщений в секунду, по {many} сразу — \
         {all}: чем больше ожидающих, тем больше сообщений делят одну синхронизацию."
    )
}

fn limit_en(promise: &Promise) -> String {
    let unsynced = number(promise.unsynced, ',');
    match promise.limit {
        Limit::Disk => {
            format!("With many connections the disk sets the limit: without syncs this CPU would store {unsynced}.")
        }
        Limit::Cpu => format!(
            "With many connections the CPU sets the limit and not the disk: even without syncs it would store {unsynced}."
        ),
    }
}

fn limit_ru(promise: &Promise) -> String {
    let unsynced = number(promise.unsynced, ' ');
    match promise.limit {
        Limit::Disk => {
            format!("При многих соединениях предел задаёт диск: без синхронизаций процессор сохранял бы {unsynced}.")
        }
        Limit::Cpu => format!(
            "При многих соединениях предел задаёт процессор, а не диск: и без синхронизаций он сохранял бы {unsynced}."
        ),
    }
}

fn day_en(promise: &Promise) -> Option<String> {
    let server = number(promise.server, ',');
    let day = if promise.day >= 1e6 {
        format!("{} million", number(promise.day / 1e6, ','))
    } else {
        number(promise.day, ',')
    };
    let words =
        format!("The whole server also speaks HTTP and delivers: plan with {server} messages a second, {day} a day.");
    promise.disk.is_trusted().then_some(words)
}

fn day_ru(promise: &Promise) -> Option<String> {
    let server = number(promise.server, ' ');
    let day = if promise.day >= 1e6 {
        format!("{} млн", number(promise.day / 1e6, ' '))
    } else {
        number(promise.day, ' ')
    };
    let words = format!(
        "Весь сервер ещё и говорит по HTTP и доставляет: рассчитывайте на {server} сообщений в секунду, {day} в сутки."
    );
    promise.disk.is_trusted().then_some(words)
}

/// Two digits that count, the rest zeros: the disk's next minute is another one. Thousands are set apart.
fn number(value: f64, between: char) -> String {
    let step = 10_f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    let digits = format!("{:.0}", (value / step).round() * step);
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(between);
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::place::Kind;
    use crate::bench::{Round, Speed};

    #[test]
    fn numbers_are_rounded_to_two_digits() {
        for (value, words) in [
            (0.0, "0"),
            (7.4, "7"),
            (12.0, "12"),
            (165.0, "170"),
            (8_370.0, "8,400"),
            (99_900.0, "100,000"),
            (1_234_567.0, "1,200,000"),
        ] {
            assert_eq!(number(value, ','), words);
        }
        assert_eq!(number(8_370.0, ' '), "8 400");
    }

    #[test]
    fn every_judgement_has_its_words_in_both_languages() {
        let speed = |per_second, micros| Speed {
            count: 1,
            per_second,
            median: Duration::from_micros(micros),
            p99: Duration::from_micros(micros),
        };
        for (kind, micros, disk, en, ru) in [
            (Kind::Disk, 300, Disk::Sound, "", ""),
            (Kind::Disk, 8_300, Disk::Slow, "A sync takes 8.3 ms", "Синхронизация занимает 8,3 мс"),
            (Kind::Disk, 3, Disk::Cached, "A sync takes 3 µs", "Синхронизация занимает 3 мкс"),
            (Kind::Memory, 3, Disk::Memory, "in memory (tmpfs)", "в памяти (tmpfs)"),
            (Kind::Network, 300, Disk::Network, "network file system (tmpfs)", "сетевой файловой системе (tmpfs)"),
            (Kind::Program, 300, Disk::Program, "only the program", "только программа"),
        ] {
            let rounds = [(1, 900.0), (8, 4_000.0), (64, 9_000.0)];
            let rounds = rounds.map(|(callers, rate)| Round { callers, speed: speed(rate, 1_000), per_sync: 1.0 });
            let figures = Figures { raw: speed(1_000.0, micros), rounds: rounds.to_vec(), unsynced: 12_345.0 };
            let place = Place { folder: "/srv/t".into(), file_system: Some("tmpfs"), kind, is_served: true };
            let promise = Promise::of(&place, &figures);
            assert_eq!(promise.disk, disk);
            let (told_en, told_ru) = (
                sentences(Language::En, &place, &figures, &promise),
                sentences(Language::Ru, &place, &figures, &promise),
            );
            assert!(told_en[0].contains(en) && told_ru[0].contains(ru), "{told_en:?} {told_ru:?}");
            assert_eq!(told_en.len(), 3 + usize::from(!en.is_empty()) + usize::from(disk.is_trusted()));
            assert_eq!(told_en.len(), told_ru.len());
            let latin = |text: &String| text.chars().all(|char| !('а'..='я').contains(&char.to_ascii_lowercase()));
            assert!(told_en.iter().all(latin) && told_ru.iter().all(|text| !latin(text)));
            assert!(told_en.concat().contains("900 messages a second stored, 64 at once have 9,000"), "{told_en:?}");
            assert!(told_en.concat().contains("without syncs it would store 12,000"), "{told_en:?}");
            let a_day = told_en.concat().contains("plan with 2,300 messages a second, 190 million a day");
            assert_eq!(a_day, disk.is_trusted(), "{told_en:?}");
        }
    }
}
