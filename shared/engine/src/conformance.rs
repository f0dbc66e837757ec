//! One suite per trait; every engine passes it, the embedded one included.
