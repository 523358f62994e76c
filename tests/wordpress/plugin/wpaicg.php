<?php
/** The boxes, the message and its answer of 1.x (docs/protocols.md W1 to W7). */

namespace ChatBoxes\Wpaicg;

use function ChatBoxes\answer;
use function ChatBoxes\answer_action;
use function ChatBoxes\begin_stream;
use function ChatBoxes\breaks;
use function ChatBoxes\condition;
use function ChatBoxes\input;
use function ChatBoxes\send_event;
use function ChatBoxes\words;

const NONCE = 'wpaicg-chatbox';

add_shortcode( 'wpaicg_chatgpt', __NAMESPACE__ . '\print_shortcode' );
add_action( 'wp_footer', __NAMESPACE__ . '\print_widget', 5 );
add_action( 'wp_enqueue_scripts', __NAMESPACE__ . '\add_scripts' );
answer_action( 'wpaicg_chat_shortcode_message', __NAMESPACE__ . '\answer_message' );
answer_action( 'wpaicg_chatbox_message', __NAMESPACE__ . '\answer_message' );

function add_scripts(): void {
	$version = condition( 'version' );
	wp_enqueue_style( 'wp-ai-content-generator', plugins_url( 'public/css/wp-ai-content-generator-public.css', __FILE__ ), array(), $version );
	wp_enqueue_script( 'wpaicg-init', plugins_url( 'public/js/wpaicg-init.js', __FILE__ ), array(), null, true );
	wp_localize_script(
		'wpaicg-init',
		'wpaicgParams',
		array(
			'ajax_url'     => admin_url( 'admin-ajax.php' ),
			'search_nonce' => wp_create_nonce( NONCE ),
			'logged_in'    => is_user_logged_in() ? '1' : '0',
		)
	);
}

function print_shortcode(): string {
	return box( 'wpaicg-chat-shortcode', 'shortcode' );
}

function print_widget(): void {
	echo '<div class="wpaicg_chat_widget">' . box( 'wpaicg-chatbox wpaicg-chatbox-theme', 'widget' ) . '</div>';
}

function box( string $classes, string $type ): string {
	$attributes = array(
		'class'                    => $classes,
		'data-user-name'           => 'You',
		'data-nonce'               => wp_create_nonce( NONCE ),
		'data-post-id'             => (string) get_the_ID(),
		'data-url'                 => home_url( $GLOBALS['wp']->request ),
		'data-bot-id'              => '0',
		'data-type'                => $type,
		'data-memory-limit'        => '100',
		'data-openai_stream_nav'   => condition( 'streams' ) ? '1' : '0',
		'data-ai-name'             => 'AI',
	);
	$written = '';
	foreach ( $attributes as $name => $value ) {
		$written .= sprintf( ' %s="%s"', $name, esc_attr( $value ) );
	}
	return "<div$written><div class=\"$type-messages\"></div><textarea></textarea></div>";
}

function answer_message(): void {
	if ( breaks( 'refuses with -1' ) ) {
		check_ajax_referer( 'an action that no page knows' );
	}
	if ( version_compare( condition( 'version' ), '1.8.91', '<' ) ) {
		if ( ! wp_verify_nonce( input( $_REQUEST, '_wpnonce' ), NONCE ) ) {
			wp_send_json( array( 'status' => 'error', 'msg' => __( 'Nonce verification failed', 'gpt3-ai-content-generator' ) ) );
		}
	} else {
		check_admin_referer( NONCE );
	}
	$message = input( $_POST, 'message' );
	if ( empty( $message ) ) {
		wp_send_json( array( 'status' => 'error', 'msg' => 'It appears that nothing was inputted.' ) );
	}
	$answer = answer( $message, 'wpaicg' );
	if ( breaks( 'returns without a word' ) ) {
		return;
	}
	if ( breaks( 'message is late' ) ) {
		\ChatBoxes\be_late();
	}
	if ( breaks( 'message dies' ) ) {
		\ChatBoxes\die_of_a_bug();
	}
	if ( ! condition( 'streams' ) ) {
		wp_send_json(
			array(
				'status'           => 'success',
				'msg'              => 'Something went wrong',
				'greeting_message' => 'You are a shop\'s helper.',
				'data'             => $answer,
				'log'              => false,
			)
		);
	}
	begin_stream( 'text/event-stream;charset=UTF-8' );
	send_event( chunk( array( 'role' => 'assistant', 'content' => '' ) ) );
	foreach ( words( $answer ) as $word ) {
		send_event( chunk( array( 'content' => $word ) ) );
		if ( breaks( 'stream dies' ) ) {
			\ChatBoxes\die_of_a_bug();
		}
	}
	send_event( chunk( array(), 'stop' ) );
	send_event( '[DONE]' );
	exit;
}

function chunk( array $delta, ?string $finish_reason = null ): string {
	$choice = array( 'index' => 0, 'delta' => (object) $delta, 'finish_reason' => $finish_reason );
	$chunk  = array( 'id' => 'chatcmpl-7', 'object' => 'chat.completion.chunk', 'created' => time(), 'model' => 'gpt-4o', 'choices' => array( $choice ) );
	return wp_json_encode( $chunk, JSON_UNESCAPED_UNICODE );
}
