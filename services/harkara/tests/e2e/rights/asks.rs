//! The questions of the tables, and their answers as words.

use serde_json::{Value, json};

use super::cast::{NAME, Stage};
use crate::support::uuid;

/// Beyond the head of every conversation here.
const FAR: u64 = 1_000;

impl Stage<'_> {
    /// What somebody with this relation is answered.
    pub async fn ask(&mut self, question: &str, relation: &'static str) -> String {
        let (method, about) = question.split_once(' ').unwrap_or((question, ""));
        match method {
            "an" => return self.hears_an_event(relation).await,
            "typing" => return self.hears_typing(relation).await,
            "session.start" => return self.resumes(relation).await,
            "message.send" => return self.sends(relation, about).await,
            _ => {}
        }
        let params = self.params(method, about, relation);
        let (conversation, owner) = (self.conversation.clone(), self.user("owner"));
        let id = self.session(relation).post(method, params).await;
        match self.session(relation).answer(id).await {
            Ok(result) => worded(method, &result, &conversation, &owner),
            Err(error) => word(&error),
        }
    }

    fn params(&self, method: &str, about: &str, relation: &str) -> Value {
        let mut params = match method {
            "timeline.read" if about == "newest" => json!({}),
            "timeline.read" if about == "early" => json!({"before": 3}),
            "timeline.read" => json!({"after": 0}),
            "read.advance" => json!({"seq": if about == "far" { FAR } else { 1 }}),
            "typing.set" => json!({"active": true}),
            "conversation.update" => json!({"title": "a title"}),
            "members.add" | "members.remove" | "members.set_role" => {
                self.about_users(method, about, relation)
            }
            "users.get" => return json!({"users": [self.user("owner")]}),
            "users.find" => return json!({"prefix": NAME}),
            "conversation.list" => return json!({}),
            _ => json!({}),
        };
        params["conversation"] = self.conversation.clone().into();
        params["client_id"] = uuid().into();
        params
    }

    fn about_users(&self, method: &str, about: &str, relation: &str) -> Value {
        let user = match about {
            "oneself" => self.user(relation),
            _ => self.targets[relation].clone(),
        };
        match (method, about) {
            ("members.remove", _) => json!({"users": [user]}),
            // Nothing is what one would like to be more.
            (_, "oneself") => json!({"users": [user], "role": "owner"}),
            (_, role) => json!({"users": [user], "role": role}),
        }
    }

    /// A send that is accepted is followed by what became of it.
    async fn sends(&mut self, relation: &str, about: &str) -> String {
        let (conversation, client_id) = (self.conversation.clone(), uuid());
        let mut params = crate::support::client::message(&conversation, &client_id, "hello");
        if about == "reply early" {
            params["reply_to"] = 1.into();
        }
        let client = self.session(relation);
        let id = client.post("message.send", params).await;
        if let Err(error) = client.answer(id).await {
            return word(&error);
        }
        let outcome = |n: &Value| {
            n["params"]["client_id"] == client_id
                && matches!(n["method"].as_str(), Some("event" | "rejected"))
        };
        let outcome = client.notice(outcome).await;
        match outcome["method"].as_str() {
            Some("event") => "ok".to_owned(),
            _ => outcome["params"]["code"].as_str().unwrap().to_owned(),
        }
    }

    /// Is the conversation in a new session's list, where its cursor asks for it?
    async fn resumes(&mut self, relation: &str) -> String {
        let mut client = self.another(relation).await;
        client.start(json!({"cursors": {self.conversation.clone(): 0}})).await.unwrap();
        let conversation = json!(self.conversation);
        let listed = is_listed(&client.started, &conversation);
        let unknown = client.started["unknown"].as_array().unwrap().contains(&conversation);
        assert_ne!(listed, unknown, "{}", client.started);
        if listed { "listed" } else { "unknown" }.to_owned()
    }

    /// The owner says something; whoever isn't told has been answered a question since.
    async fn hears_an_event(&mut self, relation: &str) -> String {
        let conversation = self.conversation.clone();
        let said = self.session("owner").say(&conversation, "for members").await;
        let hears = |n: &Value| n["method"] == "event" && n["params"]["client_id"] == said;
        // The owner was told: it is on its way to everybody who may hear it.
        self.session("owner").notice(hears).await;
        if relation == "owner" {
            return "told".to_owned();
        }
        self.heard(relation, hears).await
    }

    /// Somebody who stays a member types. Whoever types isn't told, but their other session is.
    async fn hears_typing(&mut self, relation: &str) -> String {
        let typist = if relation == "owner" { "member" } else { "owner" };
        let user = self.user(typist);
        let mut params = json!({"conversation": self.conversation, "active": false});
        // An end that follows no beginning is not passed on, and a second beginning not so soon.
        self.session(typist).call("typing.set", params.clone()).await;
        params["active"] = true.into();
        self.session(typist).call("typing.set", params).await;
        let hears = |n: &Value| n["method"] == "typing" && n["params"]["user"] == user;
        self.heard(relation, hears).await
    }

    /// Who is to hear waits for it; who isn't has nothing in their inbox, at the latest when a
    /// member has heard it and a question of their own is answered.
    async fn heard(&mut self, relation: &str, hears: impl Fn(&Value) -> bool) -> String {
        if matches!(relation, "owner" | "admin" | "member" | "again" | "other") {
            self.session(relation).notice(hears).await;
            return "told".to_owned();
        }
        let conversation = self.conversation.clone();
        let client = self.session(relation);
        client.call("conversation.list", json!({})).await;
        let about_it = |n: &Value| n["params"]["conversation"] == conversation;
        let told = client.inbox.iter().any(|n| hears(n) || about_it(n));
        if told { "told" } else { "silence" }.to_owned()
    }
}

fn is_listed(page: &Value, conversation: &Value) -> bool {
    let list = page["conversations"].as_array().unwrap();
    list.iter().any(|entry| entry["id"] == *conversation)
}

/// A result as a word.
fn worded(method: &str, result: &Value, conversation: &str, owner: &str) -> String {
    let word = match method {
        "conversation.list" if is_listed(result, &json!(conversation)) => "listed",
        "conversation.list" => "absent",
        "users.get" | "users.find" => {
            let users = result["users"].as_array().unwrap();
            if users.iter().any(|user| user["id"] == owner) { "found" } else { "absent" }
        }
        "timeline.read" => {
            let first = &result["events"][0]["seq"];
            return first
                .as_u64()
                .map_or_else(|| "from none".to_owned(), |seq| format!("from {seq}"));
        }
        _ => "ok",
    };
    word.to_owned()
}

/// An error as its word, or its number where it has none.
fn word(error: &Value) -> String {
    error["data"]["code"].as_str().map_or_else(|| error["code"].to_string(), str::to_owned)
}
