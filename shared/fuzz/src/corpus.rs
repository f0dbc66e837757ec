//! What to begin with: the golden fixtures of every form, and what once was found.
//!
//! `HARKARA_WRITE_CORPUS=DIR cargo test -p harkara-fuzz` writes them where `cargo fuzz` wants them,
//! a file each.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// All files of a folder whose names begin so, in the order of their names. None is one too few:
/// whoever moves the fixtures hears of it here.
fn files(folder: &str, beginning: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(repository(folder))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with(beginning))
        })
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Golden bytes, which are kept as hexadecimal digits over several lines.
fn golden(beginning: &str) -> Vec<Vec<u8>> {
    let files = files("shared/protocol/fixtures/binary", beginning).into_iter();
    files
        .map(|text| {
            let digits: Vec<u8> = text.into_iter().filter(u8::is_ascii_hexdigit).collect();
            hex::decode(digits).unwrap_or_default()
        })
        .collect()
}

/// Inputs of a target, by its name.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = match target {
        "frames" => frames(),
        "requests" => files("shared/protocol/fixtures/client", ""),
        "tokens" => tokens(),
        "link" => link(),
        "records" => golden("record."),
        "snapshots" => snapshots(),
        "settings" => settings(),
        _ => Vec::new(),
    };
    seeds.extend(files(&format!("shared/fuzz/found/{target}"), ""));
    seeds
}

/// One frame with a mask, no cuts and default limits.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..126) => bytes.push(0x80 | u8::try_from(short).unwrap_or_default()),
        Ok(length) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn frames() -> Vec<Vec<u8>> {
    let close = [&1000_u16.to_be_bytes()[..], "फिर मिलेंगे".as_bytes()].concat();
    let mut streams = vec![
        frame(0x81, "नमस्ते".as_bytes()),
        [frame(0x01, b"\xe0\xa4"), frame(0x89, b"?"), frame(0x80, b"\xa8")].concat(),
        [frame(0x02, b"a"), frame(0x00, b""), frame(0x80, b"b")].concat(),
        frame(0x88, &close),
        frame(0x8a, &[7; 125]),
        frame(0x82, &[1; 126]),
        frame(0x81, &[b'x'; 65_536]),
    ];
    let requests = files("shared/protocol/fixtures/client", "message.send");
    streams.extend(requests.iter().map(|request| frame(0x81, request)));
    let cut = |how: u8| move |stream: &Vec<u8>| [&[how | 3, 1, 2, 5], &stream[..]].concat();
    let small = streams.iter().map(cut(0x80));
    streams.iter().map(cut(0)).chain(small).collect()
}

fn tokens() -> Vec<Vec<u8>> {
    let seconds = crate::tokens::NOW_MS / 1_000 + 60;
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"harkara","exp":{seconds},"nbf":1,"iat":1.5,"sub":"97b9d1f0-5d86-8ff4-b0f0-2d0b4ab3a4f1","tenant":"0192f0c1-2345-7abc-8def-0123456789ab","device":"0192f0c1-2345-7abc-8def-0123456789ac","name":"Asha"}}"#
    );
    // {"alg":"HS256","kid":"a"} and {"alg":"none"}, over claims, with no good signature.
    let signed = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30.c2lnbmF0dXJl";
    let unsigned = "eyJhbGciOiJub25lIn0.e30.";
    vec![claims.into_bytes(), signed.into(), unsigned.into()]
}

fn link() -> Vec<Vec<u8>> {
    let frames = golden("link.");
    let on_a_connection = |frame: &Vec<u8>| {
        let length = u32::try_from(frame.len()).unwrap_or_default();
        [&length.to_be_bytes()[..], frame].concat()
    };
    let connection: Vec<u8> = frames.iter().flat_map(on_a_connection).collect();
    frames.into_iter().chain([connection]).collect()
}

fn snapshots() -> Vec<Vec<u8>> {
    let forms = ["state.", "event.", "rejection.", "body."].into_iter().zip(0_u8..);
    let of = |(beginning, form)| {
        let marked = move |row: Vec<u8>| [&[form][..], &row].concat();
        golden(beginning).into_iter().map(marked)
    };
    forms.flat_map(of).collect()
}

fn settings() -> Vec<Vec<u8>> {
    let mut seeds = files("deploy/compose", "harkara.toml");
    let all = crate::settings::load("").and_then(Result::ok).map(|loaded| loaded.print());
    seeds.extend(all.map(String::into_bytes));
    seeds.push(
        "[gateway]\nheartbeat = \"7s\"\norigins = [\"https://a.example\"]\n[[auth.keys]]\n\
         kid = \"a\"\nalg = \"HS256\"\nissuer = \"i\"\n\
         secret = \"bm9ib2R5IHNpZ25zIHdpdGggdGhpcyBrZXksIG5vdCBldmVy\"\n\
         HARKARA_GATEWAY__WORKERS=3\nHARKARA_GATEWAY__ORIGINS=https://a.example,b\n\
         HARKARA_GATEWAY__SENDS_PER_SECOND_MAX=unlimited\nHARKARA_TELEMETRY__LOG=debug\n"
            .as_bytes()
            .to_vec(),
    );
    seeds
}
