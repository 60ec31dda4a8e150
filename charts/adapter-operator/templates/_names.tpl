{{- define "adapter-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "adapter-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* managed-by is left out: children of the operator carry it, and its watches select on it. */ -}}
{{- define "adapter-operator.labels" -}}
{{ include "adapter-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: adapter-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "adapter-operator.serviceAccountName" -}}
{{- default (include "adapter-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "adapter-operator.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{- /* An image that has neither tag nor digest gets the chart's version: parts of one release belong together. */ -}}
{{- define "adapter-operator.versioned" -}}
{{- $last := last (splitList "/" .image) -}}
{{- if or (contains ":" $last) (contains "@" $last) -}}{{ .image }}{{- else -}}{{ .image }}:{{ .version }}{{- end -}}
{{- end -}}

{{- define "adapter-operator.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $images := dict -}}
{{- range $part, $image := $settings.images -}}
{{- $_ := set $images $part (include "adapter-operator.versioned" (dict "image" $image "version" $.Chart.AppVersion)) -}}
{{- end -}}
{{- $_ := set $settings "images" $images -}}
{{- $_ := set $settings "clusterName" (required "settings.clusterName is required: a name that is unique among the clusters that share a store" $settings.clusterName) -}}
{{- toYaml $settings -}}
{{- end -}}
