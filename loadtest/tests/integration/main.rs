//! The load test against servers that we know: the real one, broken on purpose, an honest fake that
//! drops connections, a dishonest one, the socket loop, the report of it all, the documents that
//! show it, and the servers it compares with.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod report;
#[cfg(test)]
mod steady;
