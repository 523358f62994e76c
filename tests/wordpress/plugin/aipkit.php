<?php
/** The boxes, the two requests of a message and its answer of 2.x (docs/protocols.md A1 to A6). */

namespace ChatBoxes\Aipkit;

use function ChatBoxes\answer;
use function ChatBoxes\answer_action;
use function ChatBoxes\begin_stream;
use function ChatBoxes\breaks;
use function ChatBoxes\condition;
use function ChatBoxes\input;
use function ChatBoxes\send_event;
use function ChatBoxes\words;

const NONCE    = 'aipkit_frontend_chat_nonce';
const BOTS     = array( 5, 9 );
const POPUP    = 9;
const SECURITY = 'Security check failed. Please refresh the page and try again.';

add_shortcode( 'aipkit_chatbot', __NAMESPACE__ . '\print_shortcode' );
add_action( 'wp_footer', __NAMESPACE__ . '\print_popup', 5 );
add_action( 'wp_enqueue_scripts', __NAMESPACE__ . '\add_scripts' );
if ( condition( 'asks_for_consent' ) ) {
	add_action( 'wp_footer', __NAMESPACE__ . '\print_consent' );
}
answer_action( 'aipkit_cache_sse_message', __NAMESPACE__ . '\park_message' );
answer_action( 'aipkit_frontend_chat_stream', __NAMESPACE__ . '\stream_answer' );
answer_action( 'aipkit_get_frontend_chat_nonce', __NAMESPACE__ . '\give_nonce' );

function add_scripts(): void {
	wp_enqueue_script( 'aipkit-public-main', plugins_url( 'dist/js/public-main.bundle.js', __FILE__ ), array(), '2.4.71', true );
}

function print_shortcode( $attributes ): string {
	$bot = (int) ( $attributes['id'] ?? 0 );
	return in_array( $bot, BOTS, true )
		? sprintf( '<div class="aipkit_chat_container" id="aipkit_chat_container_%d" data-bot-id="%1$d" data-config=\'%2$s\'></div>', $bot, config( $bot ) )
		: '';
}

function print_popup(): void {
	printf(
		'<div class="aipkit_popup_wrapper" id="aipkit_popup_wrapper_%d" data-bot-id="%1$d" data-config=\'%2$s\'><div class="aipkit_popup_hint" data-bot-id="%1$d"></div><div class="aipkit_chat_container"></div></div>',
		POPUP,
		config( POPUP )
	);
}

function config( int $bot ): string {
	$config = array(
		'botId'         => $bot,
		'postId'        => is_singular() ? get_queried_object_id() : 0,
		'ajaxUrl'       => admin_url( 'admin-ajax.php' ),
		'nonce'         => wp_create_nonce( NONCE ),
		'provider'      => 'OpenAI',
		'headerName'    => 'Shop\'s <b>helper</b>',
		'imageTriggers' => '/image, /generate',
		'text'          => array( 'initialGreeting' => 'Hello & "welcome"', 'errorPrefix' => 'Error:', 'consentMessage' => 'We keep what you write.' ),
		'requireConsentCompliance' => condition( 'asks_for_consent' ),
	);
	return esc_attr( wp_json_encode( $config, JSON_HEX_TAG | JSON_HEX_APOS | JSON_HEX_AMP | JSON_HEX_QUOT ) );
}

/** Whether a script of this site is asking; no Origin at all is always right (A3). */
function has_own_origin(): bool {
	$origin = $_SERVER['HTTP_ORIGIN'] ?? '';
	$home   = wp_parse_url( home_url() );
	$theirs = wp_parse_url( $origin );
	return '' === $origin || ( ( $theirs['scheme'] ?? '' ) === $home['scheme'] && ( $theirs['host'] ?? '' ) === $home['host'] );
}

function park_message(): void {
	if ( ! has_own_origin() ) {
		wp_send_json_error( array( 'message' => 'This domain is not permitted to access the chatbot.', 'code' => 'cors_denied' ), 403 );
	}
	if ( breaks( 'refuses with -1' ) ) {
		check_ajax_referer( 'an action that no page knows' );
	}
	if ( ! check_ajax_referer( NONCE, '_ajax_nonce', false ) ) {
		wp_send_json_error( array( 'message' => __( SECURITY, 'gpt3-ai-content-generator' ), 'code' => 'nonce_failure_cache_sse' ), 403 );
	}
	if ( breaks( 'returns without a word' ) ) {
		return;
	}
	if ( breaks( 'message is late' ) ) {
		\ChatBoxes\be_late();
	}
	if ( breaks( 'message dies' ) ) {
		\ChatBoxes\die_of_a_bug();
	}
	$message = trim( input( $_POST, 'message' ) );
	if ( empty( $message ) ) {
		wp_send_json_error( array( 'message' => 'Cannot cache empty data.', 'code' => 'empty_data_to_cache' ), 400 );
	}
	$key = 'aipkit_sse_' . bin2hex( random_bytes( 16 ) );
	set_transient( $key, $message, MINUTE_IN_SECONDS );
	wp_send_json_success( array( 'cache_key' => $key ) );
}

function stream_answer(): void {
	$key     = input( $_GET, 'cache_key' );
	$message = get_transient( $key );
	if ( breaks( 'stream is late' ) ) {
		\ChatBoxes\be_late();
	}
	begin_stream( 'text/event-stream; charset=utf-8' );
	echo ':' . str_repeat( ' ', 4096 ) . "\n\n";
	if ( ! has_own_origin() ) {
		refuse( 'This domain is not permitted to access the chatbot.' );
	}
	if ( ! wp_verify_nonce( input( $_REQUEST, '_ajax_nonce' ), NONCE ) ) {
		refuse( __( SECURITY, 'gpt3-ai-content-generator' ) );
	}
	if ( ! is_string( $message ) ) {
		refuse( 'Message not found in cache.' );
	}
	delete_transient( $key );
	if ( ! in_array( (int) input( $_GET, 'bot_id' ), BOTS, true ) ) {
		refuse( 'Invalid chatbot specified.' );
	}
	if ( '' === input( $_GET, 'conversation_uuid' ) ) {
		refuse( 'Conversation ID is missing.' );
	}
	if ( ! is_user_logged_in() && '' === input( $_GET, 'session_id' ) ) {
		refuse( 'Session ID is missing for guest.' );
	}
	$answer = answer( $message, 'aipkit' );
	send_event( wp_json_encode( array( 'message_id' => 'aipkit-msg-' . bin2hex( random_bytes( 4 ) ) ) ), 'message_start' );
	foreach ( words( $answer ) as $word ) {
		send_event( wp_json_encode( array( 'delta' => $word ), JSON_UNESCAPED_UNICODE ) );
		if ( breaks( 'stream dies' ) ) {
			\ChatBoxes\die_of_a_bug();
		}
	}
	send_event( '{"finished":true}', 'done' );
	exit;
}

function refuse( string $words ): void {
	echo "event: error\nid: err-" . time() . "\n";
	send_event( wp_json_encode( array( 'error' => $words ) ) );
	send_event( '{"finished":true}', 'done' );
	exit;
}

/** What covers the input until a visitor agrees, which the browser alone remembers (A7); in a dialog, as some sites ask. */
function print_consent(): void {
	echo \ChatBoxes\FOCUS_IN_TITLE;
	?>
	<button id="consent" type="submit" autofocus>I agree</button>
	<script>
	consent.onclick = () => {
		document.title = 'consent: asked';
		const given = confirm('Do you agree?');
		consent.remove();
		document.title = `consent: ${given ? 'given' : 'refused'}`;
		for (const bot of given ? <?php echo wp_json_encode( BOTS ); ?> : []) localStorage.setItem(`aipkit_chatbot_consent_given_${bot}`, 'true');
	};
	</script>
	<?php
}

function give_nonce(): void {
	wp_send_json_success( array( 'nonce' => wp_create_nonce( NONCE ) ) );
}
