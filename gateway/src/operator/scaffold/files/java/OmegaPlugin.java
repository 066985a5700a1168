import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Reads one request from stdin, lets a function answer it, and writes one answer to stdout.
 *
 * <p>JSON values are {@code Map}, {@code List}, {@code String}, {@code Long}, {@code Double}, {@code Boolean} and null.
 */
final class OmegaPlugin {
    private OmegaPlugin() {}

    /** Answers the one request of this process. What {@code handle} throws is the answer {@code error}. */
    static void run(Function<Map<String, Object>, Map<String, Object>> handle) {
        // What is printed is for people: a second line on stdout would be refused.
        System.setOut(System.err);
        Map<String, Object> request;
        try {
            String line = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
            request = object(object(new Reader(line).whole()).get("request"));
            if (!(request.get("request_id") instanceof String)) throw new IllegalArgumentException("it has no request_id");
        } catch (IOException | RuntimeException reason) {
            System.err.println("no request that can be answered: " + reason);
            System.exit(1);
            return;
        }
        String line;
        try {
            line = answer(request, handle.apply(request));
        } catch (Exception | StackOverflowError failure) {
            line = answer(request, error(failure.toString()));
        }
        try (FileOutputStream out = new FileOutputStream(FileDescriptor.out)) {
            out.write(line.getBytes(StandardCharsets.UTF_8));
        } catch (IOException reason) {
            System.err.println("the answer could not be written: " + reason);
            System.exit(1);
        }
    }

    /** The content of a text payload. */
    static String text(Map<String, Object> request) {
        if (object(request.get("payload")).get("content") instanceof String content) return content;
        throw new IllegalArgumentException("the payload is no text");
    }

    /** The answer {@code ok} with a json payload; {@code data} follows the schema named {@code schemaRef}. */
    static Map<String, Object> ok(String schemaRef, Map<String, ?> data) {
        return reply("ok", Map.of("kind", "json", "schema_ref", schemaRef, "data", data), "");
    }

    /** The answer for a request that this plugin will not take, with the reason in words. */
    static Map<String, Object> rejected(String notes) {
        return reply("rejected", null, notes);
    }

    /** The answer for a request that this plugin failed on, with the reason in words. */
    static Map<String, Object> error(String notes) {
        return reply("error", null, notes);
    }

    /** A JSON object's members. */
    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) {
        if (value instanceof Map) return (Map<String, Object>) value;
        throw new IllegalArgumentException("there is no JSON object where one should be");
    }

    private static Map<String, Object> reply(String status, Map<String, Object> result, String notes) {
        Map<String, Object> reply = new HashMap<>();
        reply.put("status", status);
        reply.put("result", result);
        reply.put("notes", notes);
        return reply;
    }

    private static String answer(Map<String, Object> request, Map<String, Object> reply) {
        Map<String, Object> response = new HashMap<>(reply);
        response.put("request_id", request.get("request_id"));
        StringBuilder out = new StringBuilder();
        write(Map.of("type", "result", "response", response), out);
        return out.append('\n').toString();
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof String text) {
            quote(text, out);
        } else if (value instanceof Map<?, ?> members) {
            char before = '{';
            for (Map.Entry<?, ?> member : members.entrySet()) {
                quote((String) member.getKey(), out.append(before));
                write(member.getValue(), out.append(':'));
                before = ',';
            }
            out.append(members.isEmpty() ? "{}" : "}");
        } else if (value instanceof List<?> items) {
            char before = '[';
            for (Object item : items) {
                write(item, out.append(before));
                before = ',';
            }
            out.append(items.isEmpty() ? "[]" : "]");
        } else if (value == null || value instanceof Boolean || value instanceof Number) {
            if (value instanceof Double number && !Double.isFinite(number)) throw new IllegalArgumentException("JSON has no " + number);
            out.append(value);
        } else {
            throw new IllegalArgumentException("JSON has no " + value.getClass().getName());
        }
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        out.append('"');
    }

    /** Reads what the gateway sends, which is valid JSON. */
    private static final class Reader {
        private final String text;
        private int at;

        Reader(String text) {
            this.text = text;
        }

        Object whole() {
            Object value = value();
            if (peek() != 0) throw wrong();
            return value;
        }

        private Object value() {
            switch (peek()) {
                case '{':
                    Map<String, Object> members = new LinkedHashMap<>();
                    for (char next = open('}'); next == ','; next = close('}')) {
                        String name = string();
                        expect(':');
                        members.put(name, value());
                    }
                    return members;
                case '[':
                    List<Object> items = new ArrayList<>();
                    for (char next = open(']'); next == ','; next = close(']')) items.add(value());
                    return items;
                case '"':
                    return string();
                default:
                    int start = at;
                    while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
                    return word(text.substring(start, at));
            }
        }

        private Object word(String word) {
            switch (word) {
                case "null":
                    return null;
                case "true":
                    return true;
                case "false":
                    return false;
                default:
                    BigDecimal number = new BigDecimal(word);
                    if (word.matches("-?[0-9]{1,18}")) return number.longValueExact();
                    return number.doubleValue();
            }
        }

        private String string() {
            expect('"');
            StringBuilder out = new StringBuilder();
            while (true) {
                char c = text.charAt(at++);
                if (c == '"') return out.toString();
                if (c != '\\') {
                    out.append(c);
                    continue;
                }
                char escape = text.charAt(at++);
                if (escape == 'u') {
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                } else {
                    int known = "bfnrt".indexOf(escape);
                    out.append(known < 0 ? escape : "\b\f\n\r\t".charAt(known));
                }
            }
        }

        /** Steps into an object or array: a comma where something is in it. */
        private char open(char end) {
            at++;
            if (peek() != end) return ',';
            at++;
            return end;
        }

        /** Steps over what follows a member or an item. */
        private char close(char end) {
            char next = peek();
            if (next != end && next != ',') throw wrong();
            at++;
            return next;
        }

        private void expect(char wanted) {
            if (peek() != wanted) throw wrong();
            at++;
        }

        /** The next character that is no blank, 0 at the end. */
        private char peek() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
            return at < text.length() ? text.charAt(at) : 0;
        }

        private IllegalArgumentException wrong() {
            return new IllegalArgumentException("no JSON at character " + at);
        }
    }
}
