//! The load test against servers that we know: an honest fake that drops connections, a dishonest
//! one, and the socket loop.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod steady;
