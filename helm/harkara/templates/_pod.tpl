{{/* Arguments: root, role, passwords: the name of the Secret for passwords from values. */}}
{{- define "harkara.env" -}}
{{- $root := .root -}}
{{- $passwords := .passwords -}}
{{- if eq .role "fanout" }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: HARKARA_LINK__ADDRESS
  value: {{ ternary "[$(POD_IP)]:8082" "$(POD_IP):8082" (eq $root.Values.ipFamily "IPv6") | quote }}
{{- end }}
{{- if and (ne .role "migrate") (not (hasKey (index $root.Values.settings .role) "workers")) }}
# Without a limit a container sees all the node's cores. No request: 0, a thread for each core.
- name: HARKARA_{{ upper .role }}__WORKERS
  valueFrom:
    resourceFieldRef:
      containerName: harkara
      resource: requests.cpu
      divisor: "1"
{{- end }}
{{- range $engine, $variable := dict "kafka" "HARKARA_KAFKA__SASL__PASSWORD" "scylla" "HARKARA_SCYLLA__PASSWORD" }}
{{- with index $root.Values.passwords $engine }}
{{- if or .existingSecret .value }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | default $passwords }}
      key: {{ ternary .key $engine (not (empty .existingSecret)) }}
{{- end }}
{{- end }}
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Arguments: root, role. */}}
{{- define "harkara.mounts" -}}
- name: config
  mountPath: /etc/harkara/config
  readOnly: true
{{- $role := .role }}
{{- range $of, $tls := .root.Values.tls }}
{{- if and $tls.existingSecret (or (ne $of "clients") (eq $role "gateway")) }}
- name: tls-{{ $of }}
  mountPath: /etc/harkara/tls/{{ $of }}
  readOnly: true
{{- end }}
{{- end }}
{{- if and (eq .role "gateway") (or .root.Values.auth.existingSecret .root.Values.auth.existingConfigMap) }}
- name: auth
  mountPath: /etc/harkara/auth
  readOnly: true
{{- end }}
{{- end }}

{{/*
Arguments: root, role, config: the name of the ConfigMap. Whole directories, no subPath: a file that changes is seen.
0440 with fsGroup: for the process, nobody else.
*/}}
{{- define "harkara.volumes" -}}
- name: config
  configMap:
    name: {{ .config }}
    items:
      - key: {{ .role }}.toml
        path: harkara.toml
      {{- if and (eq .role "gateway") .root.Values.auth.jwks }}
      - key: jwks.json
        path: jwks.json
      {{- end }}
{{- $role := .role }}
{{- range $of, $tls := .root.Values.tls }}
{{- if and $tls.existingSecret (or (ne $of "clients") (eq $role "gateway")) }}
- name: tls-{{ $of }}
  secret:
    secretName: {{ $tls.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- if eq .role "gateway" }}
{{- with .root.Values.auth.existingSecret }}
- name: auth
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.auth.existingConfigMap }}
- name: auth
  configMap:
    name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "harkara.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Arguments: root, role. The pods of a role that serves. */}}
{{- define "harkara.podTemplate" -}}
{{- $of := index .root.Values .role -}}
{{- $name := include "harkara.fullname" .root -}}
metadata:
  labels:
    {{- with $of.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "harkara.podLabels" . | nindent 4 }}
  annotations:
    {{- with $of.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    checksum/settings: {{ include "harkara.checksum" . }}
spec:
  serviceAccountName: {{ include "harkara.serviceAccountName" .root }}
  automountServiceAccountToken: false
  # HARKARA_… variables for each service of that name would be unknown settings, and stop the start.
  enableServiceLinks: false
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  {{- $queued := include "harkara.kafkaSeconds" (dict "root" .root "key" "delivery_timeout" "default" "10s") }}
  {{- if eq .role "gateway" }}
  # {{ $of.drainSeconds }} s for clients to leave (gateway.drain), 5 s for the port to close, {{ $queued }} s for the log to take what is queued
  # (kafka.delivery_timeout), 5 s to spare.
  terminationGracePeriodSeconds: {{ add $of.drainSeconds 5 $queued 5 }}
  {{- else }}
  {{- $drain := include "harkara.kafkaSeconds" (dict "root" .root "key" "drain" "default" "5s") }}
  # {{ $drain }} s for partitions to store what they decided, all at once (kafka.drain), 5 s to leave the group, {{ $queued }} s for the log to
  # take what is queued (kafka.delivery_timeout), 10 s to spare.
  terminationGracePeriodSeconds: {{ add $drain 5 $queued 10 }}
  {{- end }}
  containers:
    - name: harkara
      image: {{ include "harkara.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [{{ .role }}, --config, /etc/harkara/config/harkara.toml]
      ports:
        {{- if eq .role "gateway" }}
        - name: clients
          containerPort: 8080
        {{- else }}
        - name: link
          containerPort: 8082
        {{- end }}
        - name: admin
          containerPort: 8081
      env:
        {{- include "harkara.env" (dict "root" .root "role" .role "passwords" (printf "%s-passwords" $name)) | trim | nindent 8 }}
      # The admin port answers at once, also while an engine is waited for; then it is not ready, and not restarted.
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 1
        timeoutSeconds: 3
        failureThreshold: 30
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      resources:
        {{- toYaml $of.resources | nindent 8 }}
      securityContext:
        {{- include "harkara.securityContext" . | nindent 8 }}
      volumeMounts:
        {{- include "harkara.mounts" . | nindent 8 }}
  volumes:
    {{- include "harkara.volumes" (dict "root" .root "role" .role "config" (printf "%s-settings" $name)) | nindent 4 }}
  topologySpreadConstraints:
    {{- range $topology := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $topology }}
      whenUnsatisfiable: ScheduleAnyway
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "harkara.selector" $ | nindent 10 }}
    {{- end }}
  {{- with $of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
