{{- /* What the operator may do in every namespace whose models it looks after. */ -}}
{{- define "chrion.modelRules" -}}
# ChrionModels are read; only their status is written.
- apiGroups: [chrion.dev]
  resources: [chrionmodels]
  verbs: [get, list, watch]
- apiGroups: [chrion.dev]
  resources: [chrionmodels/status]
  verbs: [patch]
# What models are made of, by server-side apply, which needs create and patch.
# Reading and patching ConfigMaps is also what the operator grants each planner for the two that take its plan and its
# figures: nobody can grant what they do not hold.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
# Frontiers that a ReplicaSet still mounts are kept.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch]
# The annotation that makes the kubelet look at a changed objective at once.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, get, patch]
{{- end }}

{{- /* What it may do in its own namespace: be elected. */ -}}
{{- define "chrion.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [chrion-operator]
  verbs: [get, update, patch]
{{- end }}

{{- define "chrion.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
{{- end }}

{{- /* The operator's ServiceAccount, as a binding's subject. */ -}}
{{- define "chrion.subjects" -}}
- kind: ServiceAccount
  name: {{ include "chrion.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* A role of a namespace and its binding: (dict "root" $ "name" … "namespace" … "rules" …). */ -}}
{{- define "chrion.namespaceRole" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace }}
  labels: {{- include "chrion.labels" .root | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace }}
  labels: {{- include "chrion.labels" .root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name | quote }}}
subjects: {{- include "chrion.subjects" .root | nindent 2 }}
{{- end }}

{{- /* A role of the cluster and its binding: (dict "root" $ "name" … "rules" …). */ -}}
{{- define "chrion.clusterRole" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name | quote }}
  labels: {{- include "chrion.labels" .root | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name | quote }}
  labels: {{- include "chrion.labels" .root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .name | quote }}}
subjects: {{- include "chrion.subjects" .root | nindent 2 }}
{{- end }}
