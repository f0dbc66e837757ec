//! The load test against servers that we know: an honest fake that drops connections, a dishonest
//! one, the socket loop, and the report of it all.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod report;
