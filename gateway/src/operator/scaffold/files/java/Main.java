import java.util.Map;

/** Greets, and counts the words of a text. */
final class Main {
    public static void main(String[] arguments) {
        OmegaPlugin.run(request -> {
            String[] words = OmegaPlugin.text(request).strip().split("\\s+");
            long count = words[0].isEmpty() ? 0 : words.length;
            return OmegaPlugin.ok("hello/1", Map.of("greeting", "Hello!", "word_count", count));
        });
    }
}
