//! Who asks: a session for each relation, and a conversation for each question, in which the
//! relations are what their names say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Client, Server, production::Production, uuid};

/// Names that `users.find` looks for begin so.
pub const NAME: &str = "Zehra";

/// Everybody, and the conversation that is asked about.
pub struct Stage<'a> {
    pub production: &'a Production,
    pub server: &'a Server,
    kind: &'static str,
    relations: Vec<&'static str>,
    pub sessions: BTreeMap<&'static str, Client>,
    identities: BTreeMap<&'static str, Value>,
    pub conversation: String,
    /// A user for each relation whom a question is about.
    pub targets: BTreeMap<&'static str, String>,
}

/// Those that are in the conversation from its beginning, besides the owner.
const NAMED: [&str; 6] = ["admin", "member", "again", "removed", "tenant", "other"];

impl<'a> Stage<'a> {
    pub async fn new(
        production: &'a Production,
        server: &'a Server,
        kind: &'static str,
        relations: &[&'static str],
    ) -> Self {
        let ours = uuid();
        let (mut sessions, mut identities) = (BTreeMap::new(), BTreeMap::new());
        for relation in relations {
            let tenant = if *relation == "tenant" { uuid() } else { ours.clone() };
            let who = json!({
                "tenant": tenant, "sub": uuid(), "device": uuid(), "name": format!("{NAME} {relation}")
            });
            sessions.insert(*relation, production.join(server, &who).await);
            identities.insert(*relation, who);
        }
        let relations = relations.to_vec();
        let (conversation, targets) = (String::new(), BTreeMap::new());
        Self { production, server, kind, relations, sessions, identities, conversation, targets }
    }

    pub fn session(&mut self, relation: &str) -> &mut Client {
        self.sessions.get_mut(relation).unwrap()
    }

    pub fn user(&self, relation: &str) -> String {
        self.sessions[relation].user.clone()
    }

    /// One more session of somebody.
    pub async fn another(&self, relation: &str) -> Client {
        let token = self.production.token(600, &self.identities[relation]);
        Client::open(self.server.clients, Some(&token)).await.unwrap()
    }

    /// A new conversation for a question.
    pub async fn set(&mut self, question: &str) {
        let named: Vec<String> = NAMED
            .iter()
            .filter(|name| self.relations.contains(name) && self.may_be_named(name))
            .map(|name| self.user(name))
            .collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let kind = self.kind;
        self.conversation = self.session("owner").create(kind, None, &named).await;
        if kind != "direct" {
            self.change(
                "members.set_role",
                json!({"users": [self.user("admin")], "role": "admin"}),
            )
            .await;
            let gone = [self.user("again"), self.user("removed")];
            self.change("members.remove", json!({"users": gone})).await;
            self.change("members.add", json!({"users": [self.user("again")]})).await;
            self.settle().await;
        }
        self.find_targets(question).await;
        for client in self.sessions.values_mut() {
            client.inbox.clear();
        }
    }

    /// Two make a pair; who belongs to another tenant is nobody's other.
    fn may_be_named(&self, name: &str) -> bool {
        self.kind != "direct" || name == "other"
    }

    async fn change(&mut self, method: &str, mut params: Value) {
        params["conversation"] = self.conversation.clone().into();
        params["client_id"] = uuid().into();
        self.session("owner").call(method, params).await;
    }

    /// Waits until those who are in it were told so, and those who are out of it, too.
    async fn settle(&mut self) {
        let conversation = self.conversation.clone();
        for (relation, change, from) in [
            ("admin", "added", Some(1)),
            ("member", "added", Some(1)),
            ("again", "added", Some(4)),
            ("removed", "removed", None),
        ] {
            let told = |n: &Value| {
                let params = &n["params"];
                n["method"] == "conversation"
                    && params["conversation"] == conversation
                    && params["change"] == change
                    && from.is_none_or(|from| params["from"] == from)
            };
            self.session(relation).notice(told).await;
        }
        assert_eq!(self.session("admin").entry(&conversation).await["role"], "admin");
    }

    /// Users for a question to be about: one for each who asks, since an answer of `ok` changes
    /// what they are.
    async fn find_targets(&mut self, question: &str) {
        self.targets = self.relations.iter().map(|relation| (*relation, uuid())).collect();
        // What they must be beforehand.
        let role = match question {
            "members.remove member" | "members.set_role admin" | "members.set_role owner" => {
                "member"
            }
            "members.remove admin" | "members.set_role member" => "admin",
            "members.remove owner" => "owner",
            _ => return,
        };
        let users: Vec<String> = self.targets.values().cloned().collect();
        self.change("members.add", json!({"users": users, "role": role})).await;
    }
}
