//! The suite's part about users' names.

use harkara_domain::{Profile, TenantId, UserId};

use super::{must, soon, tenant, user};
use crate::store::Store;

fn profile(of: UserId, name: &str, at: u64) -> Profile {
    Profile { tenant: tenant(), user: of, name: name.to_owned(), at }
}

async fn put(store: &dyn Store, profile: Profile) {
    let put = soon(store.put_profile(profile), "a write must resolve").await;
    must(put, "a write must succeed");
}

async fn get(store: &dyn Store, tenant: TenantId, users: Vec<UserId>) -> Vec<Profile> {
    let read = soon(store.profiles(tenant, users), "a read must resolve").await;
    let mut read = must(read, "a read must succeed");
    read.sort_unstable_by_key(|profile| profile.user);
    read
}

async fn find(store: &dyn Store, tenant: TenantId, prefix: &str, limit: usize) -> Vec<String> {
    let read = soon(store.find_profiles(tenant, prefix, limit), "a read must resolve").await;
    must(read, "a read must succeed").into_iter().map(|profile| profile.name).collect()
}

pub(super) async fn newer_names_hold(store: &dyn Store) {
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for (n, order) in (300..).zip(orders) {
        for at in order {
            put(store, profile(user(n), &format!("holds{n} {at}"), at)).await;
        }
        let newest = [profile(user(n), &format!("holds{n} 3"), 3)];
        assert_eq!(get(store, tenant(), vec![user(n)]).await, newest, "written as {order:?}");
        let found = find(store, tenant(), &format!("holds{n}"), 9).await;
        assert_eq!(found, [format!("holds{n} 3")], "only the newest name is found: {order:?}");
    }
    let read = get(store, tenant(), vec![user(399), user(301), user(300)]).await;
    let users: Vec<_> = read.iter().map(|profile| profile.user).collect();
    assert_eq!(users, [user(300), user(301)], "those that have one, without those that have none");
}

pub(super) async fn search_by_prefix(store: &dyn Store) {
    let names = [
        "Ärger",
        "ÄRMEL",
        "आशा",
        "आशिष",
        "Asha",
        "asha b",
        "ASHOK",
        "Bilal",
        "李雷",
        "李 明",
        "Ωmega",
    ];
    for (n, name) in (400..).zip(names) {
        put(store, profile(user(n), name, 1)).await;
    }
    let cases: [(&str, usize, &[&str]); 11] = [
        ("ash", 9, &["Asha", "asha b", "ASHOK"]),
        ("ASH", 9, &["Asha", "asha b", "ASHOK"]),
        ("asha", 9, &["Asha", "asha b"]),
        ("ash", 2, &["Asha", "asha b"]),
        ("ash", 0, &[]),
        ("är", 9, &["Ärger", "ÄRMEL"]),
        ("ÄR", 1, &["Ärger"]),
        ("आश", 9, &["आशा", "आशिष"]),
        ("李", 9, &["李 明", "李雷"]),
        ("ω", 9, &["Ωmega"]),
        ("nobody", 9, &[]),
    ];
    for (prefix, limit, expected) in cases {
        let found = find(store, tenant(), prefix, limit).await;
        assert_eq!(found, expected, "names that begin with {prefix:?}, at most {limit}");
    }
    put(store, profile(user(404), "Zara", 2)).await;
    let found = find(store, tenant(), "asha", 9).await;
    assert_eq!(found, ["asha b"], "a name that was given up is not found any more");
}

pub(super) async fn tenants_are_apart(store: &dyn Store) {
    let other = TenantId::from_bytes([3; 16]);
    put(store, Profile { tenant: other, ..profile(user(500), "Apart", 1) }).await;
    assert_eq!(find(store, tenant(), "apart", 9).await, [] as [&str; 0], "another tenant's name");
    assert_eq!(find(store, other, "apart", 9).await, ["Apart"], "the tenant's own name");
    assert_eq!(get(store, tenant(), vec![user(500)]).await, [], "another tenant's user");
    assert_eq!(find(store, other, "", 9).await, ["Apart"], "no prefix: everybody of the tenant");
}
