{{- define "chrion.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "chrion.fullname" -}}
{{- $name := include "chrion.name" . }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "chrion.operator" -}}
{{ include "chrion.fullname" . }}-operator
{{- end }}

{{- define "chrion.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "chrion.operator" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "chrion.selector" -}}
app.kubernetes.io/name: {{ include "chrion.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "chrion.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "chrion.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: chrion
{{- end }}

{{- /* An image by its value's name and its own: (list $ "plannerGpu" "chrion-planner-cuda"). */ -}}
{{- define "chrion.image" -}}
{{- $ := index . 0 }}
{{- $images := $.Values.images }}
{{- get $images (index . 1) | default (printf "%s/%s:%s" $images.registry (index . 2) ($images.tag | default $.Chart.AppVersion)) }}
{{- end }}

{{- /* The template under every planner and runtime pod, with the secrets to pull their images with. */ -}}
{{- define "chrion.podTemplate" -}}
{{- $template := deepCopy .Values.models.podTemplate }}
{{- if .Values.images.pullSecrets }}
{{- $template = mergeOverwrite (dict "spec" (dict "imagePullSecrets" .Values.images.pullSecrets)) $template }}
{{- end }}
{{- toJson $template }}
{{- end }}

{{- define "chrion.testNamespace" -}}
{{ .Values.test.namespace | default (first .Values.watchNamespaces) | default .Release.Namespace }}
{{- end }}

{{- define "chrion.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "chrion.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
