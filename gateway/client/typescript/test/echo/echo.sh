# Gives back its text, or does as the text says. The tests send no text that needs escapes.
IFS= read -r line
id=${line#*\"request_id\":\"} id=${id%%\"*}
content=${line#*\"content\":\"} content=${content%%\"*}
status=ok
result="{\"kind\":\"text\",\"content\":\"$content\",\"encoding\":\"utf-8\",\"metadata\":{}}"
case $content in
spin) while :; do :; done ;;
crash) exit 3 ;;
fail) status=error result=null ;;
esac
printf '{"type":"result","response":{"request_id":"%s","status":"%s","result":%s,"notes":"as asked"}}\n' "$id" "$status" "$result"
