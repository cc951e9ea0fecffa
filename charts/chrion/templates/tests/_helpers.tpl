{{- define "chrion.test" -}}
{{ include "chrion.fullname" . }}-test
{{- end }}

{{- /* Hooks are made in the order of their weights, and left where a test fails, for people to look at. */ -}}
{{- define "chrion.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
