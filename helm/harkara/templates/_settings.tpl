{{/*
The settings file. What the chart owns is laid over .Values.settings, and the whole is written as TOML: one [section]
for each map, tables inside a section inline. toToml would write whole numbers from YAML as 64.0; JSON's scalars and
lists are TOML's too.
*/}}
{{- define "harkara.tomlValue" -}}
{{- if kindIs "map" . -}}
{ {{- $first := true }}{{- range $key, $value := . }}{{- if not (kindIs "invalid" $value) }}{{ if not $first }},{{ end }} {{ $key }} = {{ include "harkara.tomlValue" $value }}{{- $first = false }}{{- end }}{{- end }} }
{{- else if kindIs "slice" . -}}
[ {{- range $at, $value := . }}{{ if $at }}, {{ end }}{{ include "harkara.tomlValue" $value }}{{- end }}]
{{- else -}}
{{ toJson . }}
{{- end }}
{{- end }}

{{/* Arguments: a map of settings. Null is no setting. */}}
{{- define "harkara.toml" -}}
{{- range $key, $value := . }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "harkara.tomlValue" $value }}
{{- end }}
{{- end }}
{{- range $section, $table := . }}
{{- if kindIs "map" $table }}

[{{ $section }}]
{{- range $key, $value := $table }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ include "harkara.tomlValue" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Every address of the pod, with a port. */}}
{{- define "harkara.everyAddress" -}}
{{- ternary "[::]" "0.0.0.0" (eq .root.Values.ipFamily "IPv6") }}:{{ .port }}
{{- end }}

{{/*
Arguments: root, role. The settings of a role as JSON (fromJson reads them back). All roles have all sections, so that
the migration finds a mistake in any of them before a pod is replaced; tokens' keys are for gateways only.
*/}}
{{- define "harkara.settings" -}}
{{- $values := .root.Values -}}
{{- $listen := dict "clients" (include "harkara.everyAddress" (dict "root" .root "port" 8080))
                    "admin" (include "harkara.everyAddress" (dict "root" .root "port" 8081))
                    "link" (include "harkara.everyAddress" (dict "root" .root "port" 8082)) -}}
{{- $owned := dict "mode" "production" "listen" $listen.clients
                   "admin" (dict "listen" $listen.admin)
                   "link" (dict "listen" $listen.link)
                   "gateway" (dict "drain" (printf "%ds" (int $values.gateway.drainSeconds))) -}}
{{- with $values.tls.link.existingSecret }}
{{- $tls := dict "ca" "/etc/harkara/tls/link/ca.crt" "certificate" "/etc/harkara/tls/link/tls.crt" "key" "/etc/harkara/tls/link/tls.key" -}}
{{- $_ := set $owned.link "tls" $tls -}}
{{- end }}
{{- if and $values.tls.clients.existingSecret (eq .role "gateway") }}
{{- $tls := dict "certificate" "/etc/harkara/tls/clients/tls.crt" "key" "/etc/harkara/tls/clients/tls.key" -}}
{{- $_ := set $owned.gateway "tls" $tls -}}
{{- end }}
{{- range $engine := list "kafka" "scylla" }}
{{- $of := index $values.tls $engine -}}
{{- if $of.enabled }}
{{- $dir := printf "/etc/harkara/tls/%s" $engine -}}
{{- $tls := dict "enabled" true -}}
{{- if $of.existingSecret }}{{- $_ := set $tls "ca" (printf "%s/ca.crt" $dir) -}}{{- end }}
{{- if $of.clientCertificate }}
{{- $_ := set $tls "certificate" (printf "%s/tls.crt" $dir) -}}
{{- $_ := set $tls "key" (printf "%s/tls.key" $dir) -}}
{{- end }}
{{- $_ := set $owned $engine (dict "tls" $tls) -}}
{{- end }}
{{- end }}
{{- if and (eq .role "gateway") (or $values.auth.jwks $values.auth.jwksKey) }}
{{- $file := ternary "/etc/harkara/config/jwks.json" (printf "/etc/harkara/auth/%s" $values.auth.jwksKey) (not (empty $values.auth.jwks)) -}}
{{- $_ := set $owned "auth" (dict "jwks_file" $file) -}}
{{- end }}
{{- $all := mergeOverwrite (deepCopy $values.settings) $owned -}}
{{- if ne .role "gateway" }}{{- $all = omit $all "auth" -}}{{- end }}
{{- toJson $all -}}
{{- end }}

{{/* Arguments: root, role. What a role reads: a change of it replaces the role's pods. */}}
{{- define "harkara.checksum" -}}
{{- $all := include "harkara.settings" . | fromJson -}}
{{- $read := ternary (omit $all "fanout") (omit $all "gateway" "listen") (eq .role "gateway") -}}
{{- $jwks := ternary .root.Values.auth.jwks "" (eq .role "gateway") -}}
{{- list $read $jwks .root.Values.passwords | toJson | sha256sum -}}
{{- end }}

{{/*
Arguments: root, key, default. A duration of section [kafka] in seconds, on which grace periods hang.
*/}}
{{- define "harkara.kafkaSeconds" -}}
{{- $text := get .root.Values.settings.kafka .key | default .default -}}
{{- if not (regexMatch "^[0-9]+s$" $text) }}{{ fail (printf "settings.kafka.%s: write it in whole seconds, as in 10s; grace periods of pods hang on it" .key) }}{{ end }}
{{- trimSuffix "s" $text -}}
{{- end }}

{{/* Arguments: root. Sentences for what can't work; nothing where all is well. */}}
{{- define "harkara.check" -}}
{{- $values := .Values -}}
{{- if not $values.settings.kafka.brokers }}{{ fail "set settings.kafka.brokers: host:port of some brokers" }}{{ end }}
{{- if not $values.settings.scylla.nodes }}{{ fail "set settings.scylla.nodes: some nodes of ScyllaDB or Cassandra" }}{{ end }}
{{- $jwks := or $values.auth.jwks $values.auth.jwksKey -}}
{{- if not (or $jwks $values.settings.auth.keys) }}{{ fail "tokens need keys: set settings.auth.keys, auth.jwks, or auth.jwksKey with auth.existingSecret or auth.existingConfigMap" }}{{ end }}
{{- if and $jwks (not $values.settings.auth.issuer) }}{{ fail "set settings.auth.issuer: what the iss of tokens is for the keys of a JWKS document" }}{{ end }}
{{- if and $values.auth.jwks $values.auth.jwksKey }}{{ fail "set auth.jwks or auth.jwksKey, not both" }}{{ end }}
{{- if and $values.auth.existingSecret $values.auth.existingConfigMap }}{{ fail "set auth.existingSecret or auth.existingConfigMap, not both" }}{{ end }}
{{- if and $values.auth.jwksKey (not (or $values.auth.existingSecret $values.auth.existingConfigMap)) }}{{ fail "auth.jwksKey names a key of auth.existingSecret or auth.existingConfigMap: set one" }}{{ end }}
{{- $owned := dict
  "kafka.tls" "set tls.kafka" "kafka.sasl.password" "set passwords.kafka"
  "scylla.tls.enabled" "set tls.scylla" "scylla.tls.ca" "set tls.scylla" "scylla.tls.certificate" "set tls.scylla"
  "scylla.tls.key" "set tls.scylla" "scylla.password" "set passwords.scylla"
  "link.listen" "it is port 8082" "link.address" "it is the pod's" "link.tls.ca" "set tls.link"
  "link.tls.certificate" "set tls.link" "link.tls.key" "set tls.link"
  "gateway.tls" "set tls.clients" "gateway.drain" "set gateway.drainSeconds"
  "auth.jwks_file" "set auth.jwks or auth.jwksKey" -}}
{{- range $key, $instead := $owned }}
{{- $at := dict "here" $values.settings -}}
{{- range splitList "." $key }}{{- $here := ternary $at.here dict (kindIs "map" $at.here) -}}{{- $_ := set $at "here" (get $here .) -}}{{- end }}
{{- if not (or (kindIs "invalid" $at.here) (eq (toString $at.here) "")) }}
{{- fail (printf "settings.%s is the chart's to set: %s" $key $instead) }}
{{- end }}
{{- end }}
{{- range $values.settings.auth.keys }}
{{- if .secret }}{{ fail "settings.auth.keys: settings lie in a ConfigMap; put the secret into auth.existingSecret and set file: /etc/harkara/auth/NAME" }}{{ end }}
{{- end }}
{{- range $engine := list "kafka" "scylla" }}
{{- $tls := index $values.tls $engine -}}
{{- if and $tls.clientCertificate (not (and $tls.enabled $tls.existingSecret)) }}{{ fail (printf "tls.%s.clientCertificate needs tls.%s.enabled and tls.%s.existingSecret" $engine $engine $engine) }}{{ end }}
{{- if and $tls.existingSecret (not $tls.enabled) }}{{ fail (printf "tls.%s.existingSecret is set and tls.%s.enabled is not: say which" $engine $engine) }}{{ end }}
{{- $password := index $values.passwords $engine -}}
{{- if and $password.existingSecret $password.value }}{{ fail (printf "set passwords.%s.existingSecret or passwords.%s.value, not both" $engine $engine) }}{{ end }}
{{- end }}
{{- end }}
